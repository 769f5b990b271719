/** Arguments of a step, and how threads share its work. */
import { STEP_ARGUMENTS, STEP_NEXT } from '../layout';

@inline
export function argument(step: usize, index: i32): i32 {
  return load<i32>(step + STEP_ARGUMENTS + ((<usize>index) << 2));
}

@inline
export function address(step: usize, index: i32): usize {
  return <usize>load<u32>(step + STEP_ARGUMENTS + ((<usize>index) << 2));
}

/** The next of a step's pieces of work, for whichever thread comes first: one that is held up gets fewer. */
@inline
export function takePiece(step: usize): i32 {
  return atomic.add<i32>(step + STEP_NEXT, 1);
}

/** First of this thread's equal share of `count` pieces; its end is the next thread's first. */
@inline
export function shareOf(count: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>count * thread) / threads);
}
