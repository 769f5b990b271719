import { spawn } from 'node:child_process';
import { ConformanceError } from '../codes.js';
import { MOST_LINE_CHARACTERS, type AdapterChannel } from '../adapter/protocol.js';

const LAST_WORDS = 500;

/** Runs `command` in a shell and talks to it by lines. */
export async function spawnAdapter(command: string): Promise<AdapterChannel> {
  const windows = process.platform === 'win32';
  // A group of its own, so that what the shell started ends with it.
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'pipe'], detached: !windows });
  const lines: string[] = [];
  let unfinished = '';
  let errors = '';
  let ending = '';
  const state = { ended: false, tooLong: false };
  let wake: () => void = () => {};

  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (unfinished + text).split('\n');
    unfinished = parts.pop() ?? '';
    lines.push(...parts.filter((line) => line.trim() !== ''));
    state.tooLong ||= unfinished.length > MOST_LINE_CHARACTERS;
    wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-LAST_WORDS);
  });
  // Its end is told by `close`; writing to a program that is gone must not end this one.
  child.stdin.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    const end = (how: string): void => {
      ending = how;
      state.ended = true;
      wake();
      resolve();
    };
    child.on('error', (error) => end(error.message));
    child.on('close', (code, signal) => end(signal ? `ended by ${signal}` : `exit code ${code}`));
  });

  return {
    send(line) {
      if (!state.ended) child.stdin.write(`${line}\n`);
    },
    async next() {
      while (lines.length === 0 && !state.ended && !state.tooLong) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (state.tooLong) throw new ConformanceError('ADAPTER_GARBAGE', `a line of more than ${MOST_LINE_CHARACTERS} characters`);
      return lines.shift();
    },
    lastWords: () => ` (${ending || 'still running'}${errors.trim() === '' ? '' : `: ${errors.trim()}`})`,
    async kill() {
      if (state.ended) return;
      child.stdin.end();
      try {
        if (windows || child.pid === undefined) child.kill('SIGKILL');
        else process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Already gone.
      }
      await closed;
    },
  };
}
