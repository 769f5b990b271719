/**
 * Runs the steps of a program, on all threads together. The memory is the host's (layout.ts); nothing here allocates, and no
 * thread keeps anything of its own between jobs.
 */
import {
  END_STEP, FIRST_STEP, KIND_ADD, KIND_ATTENTION, KIND_EMBED, KIND_MATMUL, KIND_RMSNORM, KIND_ROPE, KIND_ROUND_BLOCKS, KIND_ROUND_ROWS, KIND_STORE_KV,
  KIND_SWIGLU, SCRATCH, SCRATCH_ROWS_BYTES, SCRATCH_STRIDE, STEPS, STEPS_DONE, STEP_BYTES, STEP_KIND, STEP_NEXT, STEP_WAITS, THREADS,
} from '../layout';
import { attention, storeKv } from './attention';
import { matmul } from './matmul';
import { roundBlocks, roundRows } from './round';
import { add, embed, rmsnorm, rope, swiglu } from './rows';
import { announceJob, awaitJob, barrier } from './threads';

function runStep(step: usize, thread: i32, threads: i32): void {
  const scratch = <usize>load<u32>(SCRATCH) + <usize>thread * load<u32>(SCRATCH_STRIDE);
  switch (load<i32>(step + STEP_KIND)) {
    case KIND_EMBED: return embed(step, thread, threads);
    case KIND_RMSNORM: return rmsnorm(step, thread, threads);
    case KIND_ROUND_BLOCKS: return roundBlocks(step, thread, threads);
    case KIND_ROUND_ROWS: return roundRows(step, thread, threads);
    case KIND_MATMUL: return matmul(step, scratch);
    case KIND_ROPE: return rope(step, thread, threads);
    case KIND_STORE_KV: return storeKv(step, thread, threads);
    case KIND_ATTENTION: return attention(step, scratch + load<u32>(SCRATCH_ROWS_BYTES));
    case KIND_SWIGLU: return swiglu(step, thread, threads);
    case KIND_ADD: return add(step, thread, threads);
    default: unreachable();
  }
}

/** This thread's part of the current job. Returns when all threads are done; false when one has trapped. */
function takePart(thread: i32): bool {
  const threads = load<i32>(THREADS);
  const end = load<i32>(END_STEP);
  for (let index = load<i32>(FIRST_STEP); index < end; index++) {
    const step = <usize>load<u32>(STEPS) + <usize>index * STEP_BYTES;
    if (load<i32>(step + STEP_WAITS) != 0 && !barrier(thread)) return false;
    runStep(step, thread, threads);
  }
  return barrier(thread);
}

/** Thread 0: does steps [FIRST_STEP, END_STEP) with the help of the workers. False when one of them has trapped. */
export function run(): bool {
  const end = load<i32>(END_STEP);
  const first = load<i32>(FIRST_STEP);
  for (let index = first; index < end; index++) store<i32>(<usize>load<u32>(STEPS) + <usize>index * STEP_BYTES + STEP_NEXT, 0);
  store<i32>(STEPS_DONE, load<i32>(STEPS_DONE) + end - first);
  announceJob();
  return takePart(0);
}

/** A worker's life: helps with every job after job number `job`, until the host says STOP or a thread traps. */
export function work(thread: i32, job: i32): void {
  while (awaitJob(job)) {
    job++;
    if (!takePart(thread)) return;
  }
}
