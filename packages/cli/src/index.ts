/** The weightspec command as a function: arguments and outputs in, exit code out. */
export { main } from './main.js';
export { EXIT, type Output, type Terminal } from './terminal.js';
export { cliCodes, CliError, type CliCode } from './codes.js';
export { allCodeFamilies } from './commands/all-codes.js';
export { withFrames, type CheckedFile, type Findings } from './report/checked-file.js';
export { fieldNames, type Frame, type FrameLine } from './report/hexdump.js';
export { render, type ReportFormat } from './commands/validate.js';
export { servePage, type ServePageOptions } from './commands/web.js';
export type { CodeEntry } from '@weightspec/core';
export type { CodeFamily } from '@weightspec/formats';
