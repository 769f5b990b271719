/** The page's workers. Only `network` may reach other hosts; the others ask it for bytes. */
import { transfer, wrap, type Remote } from 'comlink';
import type { Inspector, Network, Runner } from './workers/protocol.js';

let network: Remote<Network> | undefined;

/** Gives `connect` a line to the network worker, which is started for the first address. */
async function connected(connect: (port: MessagePort) => Promise<void>): Promise<void> {
  network ??= wrap<Network>(new Worker(new URL('./workers/network.worker.ts', import.meta.url), { type: 'module', name: 'network' }));
  const { port1, port2 } = new MessageChannel();
  await network.serve(transfer(port1, [port1]));
  await connect(transfer(port2, [port2]));
}

export const inspector: Remote<Inspector> = wrap<Inspector>(new Worker(new URL('./workers/inspector.worker.ts', import.meta.url), { type: 'module', name: 'inspector' }));

let inspectorConnected: Promise<void> | undefined;
/** To be awaited before the inspector opens an address. */
export const connectInspector = (): Promise<void> => (inspectorConnected ??= connected((port) => inspector.connectNetwork(port)));

export interface RunnerThread {
  readonly runner: Remote<Runner>;
  /** Rejects when the thread cannot start or goes down, e.g. for want of memory; never resolves. */
  readonly failed: Promise<never>;
  isDown(): boolean;
  /** Frees the model at once, whatever it is doing. */
  terminate(): void;
}

/** A thread for one model. `online`: it may ask for addresses. */
export async function startRunner(online: boolean): Promise<RunnerThread> {
  const worker = new Worker(new URL('./workers/runner.worker.ts', import.meta.url), { type: 'module', name: 'runner' });
  const runner = wrap<Runner>(worker);
  let down = false;
  const failed = new Promise<never>((_, reject) => {
    worker.addEventListener('error', (event) => {
      down = true;
      reject(new Error(`its thread ended: ${event.message || 'no reason is known'}`));
    });
  });
  // Whoever waits for a result hears of it; nobody else has to.
  failed.catch(() => undefined);
  if (online) await connected((port) => runner.connectNetwork(port));
  return { runner, failed, isDown: () => down, terminate: () => worker.terminate() };
}
