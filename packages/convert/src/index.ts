/** Converts weight files between formats, and compares them. */
export {};
