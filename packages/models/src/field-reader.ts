import { ModelError } from './errors.js';

/** Reads the fields of one configuration and collects what is missing or of another kind, to be told all at once. */
export class FieldReader {
  readonly problems: string[] = [];

  constructor(
    /** What the fields belong to, for messages: `config.json`. */
    private readonly owner: string,
    private readonly fields: { readonly [key: string]: unknown },
  ) {}

  /** Absent and null are the same: writers use either. */
  has(key: string): boolean {
    return Object.hasOwn(this.fields, key) && this.fields[key] !== null && this.fields[key] !== undefined;
  }

  /** A number, or `fallback` where the field is absent. */
  number(key: string, fallback?: number): number {
    const value = this.has(key) ? this.fields[key] : fallback;
    if (typeof value === 'number') return value;
    this.problems.push(`${this.owner} has no number ${key}`);
    return Number.NaN;
  }

  flag(key: string, fallback?: boolean): boolean {
    const value = this.has(key) ? this.fields[key] : fallback;
    if (typeof value !== 'boolean') this.problems.push(`${this.owner} has no flag ${key}`);
    return value === true;
  }

  text(key: string, fallback?: string): string {
    const value = this.has(key) ? this.fields[key] : fallback;
    if (typeof value === 'string') return value;
    this.problems.push(`${this.owner} has no text ${key}`);
    return '';
  }

  /** The object in a field; empty when it is absent. */
  object(key: string): { readonly [key: string]: unknown } {
    return this.has(key) ? (objectOf(this.fields[key]) ?? {}) : {};
  }

  /** Notes `message` unless `holds`. */
  expect(holds: boolean, message: string): void {
    if (!holds) this.problems.push(`${this.owner}: ${message}`);
  }

  /** Throws ModelError (MODEL_CONFIG) when anything was wrong. */
  done(): void {
    if (this.problems.length > 0) throw new ModelError('MODEL_CONFIG', this.problems);
  }
}

/** `value` as an object with fields; undefined for arrays, null and all else. */
export function objectOf(value: unknown): { readonly [key: string]: unknown } | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as { readonly [key: string]: unknown }) : undefined;
}
