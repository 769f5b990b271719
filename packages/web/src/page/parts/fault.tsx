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

/** What the code's own hint leaves out, because only a page is bound by it. */
const hints: Readonly<Record<string, () => preact.JSX.Element>> = {
  IO_NETWORK: Cors,
  IO_PERMISSION: () => <p>The page sends no passwords or tokens. Download the file with your account and drop it here: it stays on your machine.</p>,
  MODEL_UNKNOWN_FORMAT: () => <p>Drop the weights together with their config.json (Meta: params.json), or the folder that holds both.</p>,
};

/** What could not be done, why, and what to do. */
export function FaultMessage({ fault: { code, message, hint }, title }: { readonly fault: Fault; readonly title: string }) {
  const Hint = code !== undefined && Object.hasOwn(hints, code) ? hints[code] : undefined;
  return (
    <div class="fault" role="alert">
      <strong>{title}</strong>
      <p>{message}</p>
      {Hint ? <Hint /> : hint && <p>{hint}</p>}
      {code && <p class="dim">{code}</p>}
    </div>
  );
}
