/** The weightspec command as a function: arguments and outputs in, exit code out. */
export { main } from './main.js';
export { EXIT, type Output, type Terminal } from './terminal.js';
export { cliCodes, CliError, type CliCode } from './codes.js';
export { allCodeFamilies } from './commands/all-codes.js';
export type { CodeEntry } from '@weightspec/core';
export type { CodeFamily } from '@weightspec/formats';
