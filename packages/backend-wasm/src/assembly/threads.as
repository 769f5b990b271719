/** Barriers and jobs: how the threads of one executable wait for each other. Thread 0 is the host's own. */
import { ARRIVED, FAILED, JOB, JOB_SLEEPERS, MAIN_MAY_SLEEP, PHASE, PHASE_SLEEPERS, SPINS, STOP, THREADS } from '../layout';

/** A sleeping thread looks up this often, in case another one has trapped. */
const SLEEP_NANOSECONDS: i64 = 100_000_000;

/** Returns once the word at `word` is not `value` any more: looks for a while, then sleeps. False when a thread has trapped. */
function waitWhile(word: usize, value: i32, sleepers: usize, maySleep: bool): bool {
  const spins = load<i32>(SPINS);
  for (let i = 0; i < spins; i++) if (atomic.load<i32>(word) != value) return true;
  while (atomic.load<i32>(word) == value) {
    if (atomic.load<i32>(FAILED) != 0) return false;
    if (!maySleep) continue;
    atomic.add<i32>(sleepers, 1);
    atomic.wait<i32>(word, value, SLEEP_NANOSECONDS);
    atomic.sub<i32>(sleepers, 1);
  }
  return true;
}

/** Changes the word at `word` and wakes whoever sleeps on it. Waking costs a call into the engine, so that it is left out where nobody does. */
function advance(word: usize, sleepers: usize): void {
  atomic.add<i32>(word, 1);
  if (atomic.load<i32>(sleepers) != 0) atomic.notify(word, -1);
}

/** Returns when all threads have called it. False when one has trapped. */
export function barrier(thread: i32): bool {
  const threads = load<i32>(THREADS);
  if (threads == 1) return true;
  const phase = atomic.load<i32>(PHASE);
  if (atomic.add<i32>(ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(ARRIVED, 0);
    advance(PHASE, PHASE_SLEEPERS);
    return true;
  }
  return waitWhile(PHASE, phase, PHASE_SLEEPERS, thread != 0 || load<i32>(MAIN_MAY_SLEEP) != 0);
}

/** Thread 0 has written a job down. */
export function announceJob(): void {
  advance(JOB, JOB_SLEEPERS);
}

/** A worker has done `job` jobs: waits for the next one. False when it should return instead. */
export function awaitJob(job: i32): bool {
  return waitWhile(JOB, job, JOB_SLEEPERS, true) && load<i32>(STOP) == 0;
}
