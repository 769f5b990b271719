/** Where the built page is, and the HTTP headers that it is to be served with. */
export { headersFor } from './headers.js';

// Not `new URL('./page/', import.meta.url)` in one piece: bundlers take that for a file to copy.
const here = import.meta.url;
/** `file:` URL of the folder that holds index.html. */
export const pageFolder: string = new URL('page/', here).href;
