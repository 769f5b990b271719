import type { Fault } from '../workers/protocol.js';

/** What could not be done, why, and what to do. */
export function FaultMessage({ fault: { code, message, hint }, title }: { readonly fault: Fault; readonly title: string }) {
  return (
    <div class="fault" role="alert">
      <strong>{title}</strong>
      <p>{message}</p>
      {code === 'IO_NETWORK' && <p>A browser reads a file of another host only where that host allows it (CORS). Hugging Face does; many hosts do not. Then download the file and drop it here: it still stays on your machine.</p>}
      {hint && <p>{hint}</p>}
      {code && <p class="dim">{code}</p>}
    </div>
  );
}
