import { DiagnosticError, type Diagnostic } from '@weightspec/core';
import { runnerCodes } from './codes.js';
import { visible } from './report/escape.js';
import { EXIT, type Terminal } from './terminal.js';

/** An error with a permanent code: IoError, CliError, TokenizerError and their like. */
function isCoded(error: unknown): error is Error & { readonly code: string; readonly hint?: string } {
  return error instanceof Error && /^[A-Z0-9]+_[A-Z0-9_]+$/.test((error as { readonly code?: unknown }).code?.toString() ?? '');
}

/** `model.bin: error CODE: message`, its byte range and its hint. */
export function diagnosticLine({ source, severity, code, message, byteRange, hint }: Diagnostic): string {
  const where = byteRange ? ` (bytes [${byteRange[0]}, ${byteRange[1]}))` : '';
  return `${visible(source)}: ${severity} ${code}: ${visible(message)}${where}\n${hint ? `  hint: ${visible(hint)}\n` : ''}`;
}

/** What a report says about a fault; without a code, it is our own. */
export function faultOf(error: unknown): { readonly code?: string; readonly message: string } {
  if (isCoded(error)) return { code: error.code, message: messageWithoutCode(error) };
  if (error instanceof DiagnosticError) {
    const [first] = error.diagnostics;
    return { code: first?.code, message: error.message };
  }
  return { message: error instanceof Error ? error.message : String(error) };
}

const messageWithoutCode = ({ code, message }: Error & { readonly code: string }): string => (message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message);

/**
 * Says on stderr why a command could not be done, and returns its exit code: 1 when a file is to blame. Anything without
 * a code is our own fault and keeps its stack trace.
 */
export function reportFault(error: unknown, { stderr }: Terminal): number {
  if (error instanceof DiagnosticError) {
    for (const diagnostic of error.diagnostics) stderr.write(diagnosticLine(diagnostic));
    return EXIT.invalid;
  }
  if (isCoded(error)) {
    stderr.write(`error ${error.code}: ${visible(messageWithoutCode(error))}\n`);
    const hint = error.hint ?? (Object.hasOwn(runnerCodes, error.code) ? runnerCodes[error.code as keyof typeof runnerCodes].hint : undefined);
    if (hint) stderr.write(`  hint: ${visible(hint)}\n`);
  } else {
    stderr.write(`error: ${error instanceof Error ? error.stack : String(error)}\n`);
  }
  return EXIT.trouble;
}
