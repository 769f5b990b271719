import type { Fault } from '../workers/protocol.js';

/** A browser says "failed" alike of a host that is not there and of one that does not allow this page to read. */
function Cors() {
  return (
    <>
      <p>Either the address or the connection is wrong, or the host does not allow other pages to read its files (CORS). Hugging Face does; many hosts do not.</p>
      <p>What to do: download the file and drop it here, where it stays on your machine; or give the address to <code>npx weightspec validate</code>, which is not bound by this. If the host is yours, let it send <code>Access-Control-Allow-Origin: *</code> and <code>Access-Control-Expose-Headers: Content-Range</code>.</p>
    </>
  );
}

/** What could not be done, why, and what to do. */
export function FaultMessage({ fault: { code, message, hint }, title }: { readonly fault: Fault; readonly title: string }) {
  return (
    <div class="fault" role="alert">
      <strong>{title}</strong>
      <p>{message}</p>
      {code === 'IO_NETWORK' ? <Cors /> : hint && <p>{hint}</p>}
      {code && <p class="dim">{code}</p>}
    </div>
  );
}
