/** Errors across threads. comlink passes what is thrown through structured clone when it is no Error, and an Error without its code. */
import type { Fault } from './protocol.js';

export function faultOf(error: unknown): Fault {
  if (typeof error === 'object' && error !== null && !(error instanceof Error) && 'message' in error) return error as Fault;
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, hint } = error as { readonly code?: unknown; readonly hint?: unknown };
  const coded = typeof code === 'string' ? code : undefined;
  const message = coded !== undefined && error.message.startsWith(`${coded}: `) ? error.message.slice(coded.length + 2) : error.message;
  return { message, ...(coded === undefined ? {} : { code: coded }), ...(typeof hint === 'string' ? { hint } : {}) };
}

/** The same methods, whose errors are Faults. */
export function withFaults<T extends object>(api: T): T {
  return Object.fromEntries(
    Object.entries(api).map(([name, method]: [string, (...args: unknown[]) => unknown]) => [
      name,
      async (...args: unknown[]) => {
        try {
          return await method(...args);
        } catch (error) {
          // oxlint-disable-next-line no-throw-literal -- an Error would lose its code on the way
          throw faultOf(error);
        }
      },
    ]),
  ) as T;
}
