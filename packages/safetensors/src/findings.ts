import type { Diagnostic, Finding } from '@weightspec/core';

/** Findings of one code that are listed; a damaged header of a million tensors must not make a million of them. */
const MAX_PER_CODE = 100;
/** Findings of one code after which reading on tells nothing new: a hostile header can make millions. */
const ENOUGH = 10_000;

/** Collects diagnostics, at most 100 a code; the last of a code then says how many more there were. */
export class Findings<Code extends string> {
  readonly #source: string;
  readonly #make: (code: Code, source: string, finding: Finding) => Diagnostic;
  readonly #list: Diagnostic[] = [];
  readonly #counts = new Map<Code, number>();
  #isEnough = false;

  constructor(source: string, make: (code: Code, source: string, finding: Finding) => Diagnostic) {
    this.#source = source;
    this.#make = make;
  }

  add(code: Code, finding: Finding, source = this.#source): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count >= ENOUGH) this.#isEnough = true;
    if (count <= MAX_PER_CODE) this.#list.push(this.#make(code, source, finding));
  }

  has(...codes: readonly Code[]): boolean {
    return codes.some((code) => this.#counts.has(code));
  }

  /** Whether 10,000 findings of one code have been counted, so that a reader may stop. */
  get isEnough(): boolean {
    return this.#isEnough;
  }

  get hasErrors(): boolean {
    return this.#list.some(({ severity }) => severity === 'error');
  }

  /** Everything found, in the order in which it was found. */
  diagnostics(): Diagnostic[] {
    return this.#list.map((diagnostic, index) => {
      const more = (this.#counts.get(diagnostic.code as Code) ?? 0) - MAX_PER_CODE;
      const isLast = more > 0 && this.#list.findLastIndex(({ code }) => code === diagnostic.code) === index;
      return isLast ? { ...diagnostic, message: `${diagnostic.message}; ${more} more of this kind are not listed` } : diagnostic;
    });
  }
}

/** A name for a message: quoted, at most 80 characters. */
export function quoted(name: string): string {
  const points = name.length > 80 ? `${name.slice(0, 79)}…` : name;
  return JSON.stringify(points);
}

/** JSON pointer to a tensor (RFC 6901 escapes), shortened like a name. */
export function tensorPointer(name: string): string {
  return `/tensors/${name.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
