/**
 * Temporary files that must not survive the process. One set of listeners for all of them, present only while there
 * are any, so that a program that never writes keeps Node's own handling of signals.
 */
import { rmSync } from 'node:fs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Path → whom to tell that a signal removed it. */
const live = new Map<string, (signal: NodeJS.Signals) => void>();

export function registerTemporaryFile(path: string, onInterrupt: (signal: NodeJS.Signals) => void): void {
  if (live.size === 0) {
    process.on('exit', removeAll);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  live.set(path, onInterrupt);
}

export function forgetTemporaryFile(path: string): void {
  live.delete(path);
  if (live.size === 0) removeListeners();
}

function removeListeners(): void {
  process.off('exit', removeAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function removeAll(): void {
  for (const path of live.keys()) {
    try {
      rmSync(path, { force: true });
    } catch {
      // Ending anyway; the name says what the file is.
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  removeAll();
  for (const tell of live.values()) tell(signal);
  live.clear();
  removeListeners();
  // With our listener gone the signal would have ended the process, unless somebody else listens and decides.
  // Later, because a `once` listener that runs after this one still counts now.
  setImmediate(() => {
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  });
}
