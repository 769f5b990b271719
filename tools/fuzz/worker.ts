/** The process of one session: takes a request from its parent, answers with the result. Dies where an input makes it die. */
import type { SessionRequest, SessionResult } from './session.js';
import { runSession } from './session.js';
import type { Target } from './target.js';
import { startWatchdog } from './watchdog.js';

export interface WorkerRequest extends SessionRequest {
  /** A module that exports `targets`. */
  readonly targetsModule: string;
}

export interface WorkerResult extends SessionResult {
  readonly mostGrowthBytes: number;
  readonly mostResidentBytes: number;
}

process.once('message', (message: WorkerRequest) => {
  void (async () => {
    const { targets } = (await import(message.targetsModule)) as { targets: readonly Target[] };
    const target = targets.find(({ name }) => name === message.target);
    if (!target) throw new Error(`there is no target ${message.target}; there are ${targets.map(({ name }) => name).join(', ')}`);
    const watchdog = startWatchdog(target.name, message.findingsFolder);
    const result = await runSession(target, message, watchdog);
    const { mostGrowthBytes, mostResidentBytes } = watchdog;
    await watchdog.stop();
    process.send!({ ...result, mostGrowthBytes, mostResidentBytes } satisfies WorkerResult, () => process.disconnect());
  })();
});
