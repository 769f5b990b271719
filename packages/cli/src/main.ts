import { EXIT, type Terminal } from './terminal.js';
import { version } from './version.js';

const processTerminal: Terminal = { stdout: process.stdout, stderr: process.stderr, stdin: () => process.stdin, env: process.env };

/**
 * Runs one command line (without node and script) and returns the exit code.
 * `--version` imports nothing more: commander alone would double its time.
 */
export async function main(argv: readonly string[], terminal: Terminal = processTerminal): Promise<number> {
  if (terminal === processTerminal) endWhenOutputFails();
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    terminal.stdout.write(`${version()}\n`);
    return EXIT.ok;
  }
  const { runProgram } = await import('./program.js');
  return runProgram(argv, terminal);
}

/**
 * `weightspec … | head` closes the pipe: what was asked for cannot be delivered, and a stack trace helps nobody.
 * A full disk is told. Node would exit with 1, which here means a bad file.
 */
function endWhenOutputFails(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && stream === process.stdout) process.stderr.write(`error: the output cannot be written: ${error.message}\n`);
      process.exit(EXIT.trouble);
    });
  }
}
