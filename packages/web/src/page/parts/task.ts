/** Something that takes a while: its progress, its result or why there is none. */
import { useCallback, useState } from 'preact/hooks';
import { faultOf } from '../workers/faults.js';
import type { Fault } from '../workers/protocol.js';

export interface Task<T> {
  readonly result?: T;
  readonly fault?: Fault;
  /** 0 … 1 while it goes on. */
  readonly progress?: number;
}

/** `start` runs a task; what a former one still reports is dropped. A cancelled one leaves nothing. */
export function useTask<T>(): readonly [Task<T>, (run: (progress: (done: number) => void) => Promise<T>) => Promise<void>, () => void] {
  const [task, setTask] = useState<Task<T>>({});
  const [runs] = useState({ latest: 0 });
  const start = useCallback(async (run: (progress: (done: number) => void) => Promise<T>) => {
    const own = ++runs.latest;
    const set = (next: Task<T>): void => {
      if (own === runs.latest) setTask(next);
    };
    set({ progress: 0 });
    // Progress comes on another port than the result, and may come after it.
    let isDone = false;
    try {
      const result = await run((progress) => {
        if (!isDone) set({ progress });
      });
      isDone = true;
      set({ result });
    } catch (error) {
      isDone = true;
      const fault = faultOf(error);
      set(fault.message === 'cancelled' ? {} : { fault });
    }
  }, [runs]);
  const reset = useCallback(() => {
    runs.latest += 1;
    setTask({});
  }, [runs]);
  return [task, start, reset];
}
