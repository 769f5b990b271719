import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { headersFor, pageFolder } from '@weightspec/web';
import sirv from 'sirv';
import { CliError } from '../codes.js';
import { untilInterrupted } from '../interruption.js';
import { EXIT, type Terminal } from '../terminal.js';

/** Taken when none is asked for and it is free. */
const USUAL_PORT = 8741;
/** Nobody else on the network can ask. */
const LOOPBACK = '127.0.0.1';

export interface WebCommandOptions {
  /** 0: any that is free. */
  readonly port?: number;
}

/** Serves the page to this machine until it is interrupted. Throws CliError: CLI_NO_PAGE, CLI_PORT_TAKEN. */
export async function web({ port }: WebCommandOptions, terminal: Terminal): Promise<number> {
  await untilInterrupted((signal) => servePage({ port, signal }, terminal));
  return EXIT.ok;
}

export interface ServePageOptions extends WebCommandOptions {
  /** Ends the serving. */
  readonly signal: AbortSignal;
  /** Where the built page is. Default: the folder that @weightspec/web names. */
  readonly folder?: string;
}

/** The same until `signal` is aborted. The address is the one line on stdout. */
export async function servePage({ port, signal, folder = fileURLToPath(pageFolder) }: ServePageOptions, { stdout, stderr }: Terminal): Promise<void> {
  if (!existsSync(`${folder}/index.html`)) throw new CliError('CLI_NO_PAGE', `there is no page in ${folder}`);
  // The files are read once, at the start: what is asked for later is looked up by name and cannot leave the folder.
  const files = sirv(folder, { etag: true, setHeaders: (response, pathname) => Object.entries(headersFor(pathname)).forEach(([name, value]) => response.setHeader(name, value)) });
  const server = createServer((request, response) =>
    files(request, response, () => {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found\n');
    }),
  );
  const taken = await listen(server, port);
  stdout.write(`http://${LOOPBACK}:${taken}/\n`);
  stderr.write('Only this machine can open it. Press Ctrl-C to end.\n');
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** The port that it listens on. */
async function listen(server: Server, asked: number | undefined): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' || error.code === 'EACCES' ? resolve(false) : reject(error)));
      server.listen(port, LOOPBACK, () => resolve(true));
    });
  if (!(await tryPort(asked ?? USUAL_PORT)) && (asked !== undefined || !(await tryPort(0)))) {
    throw new CliError('CLI_PORT_TAKEN', `port ${asked} of ${LOOPBACK} cannot be had`);
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
