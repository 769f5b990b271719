/**
 * HTTP headers of the page. The code that sees files cannot reach the network, and the code that reaches the network never sees files:
 * only the worker that reads addresses which a person pasted may connect anywhere. Sources: W3C Content Security Policy 3; HTML 7.1
 * (cross-origin isolation, which SharedArrayBuffer needs).
 */

/** The page's policy but for what a <meta> element cannot say. `wasm-unsafe-eval` compiles WebAssembly and allows no script. */
export function contentSecurityPolicy(connect = "'self'"): string {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src ${connect}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

const networkWorker = /\/network\.worker-[\w-]+\.js$/;

/** Headers for the file at `pathname` of the built page. */
export function headersFor(pathname: string): Readonly<Record<string, string>> {
  const policy = contentSecurityPolicy(networkWorker.test(pathname) ? 'http: https:' : "'self'");
  return {
    'Content-Security-Policy': `${policy}; frame-ancestors 'none'`,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
}
