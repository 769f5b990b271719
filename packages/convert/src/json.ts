export type JsonObject = { readonly [key: string]: unknown };

/** `value` as an object with fields; undefined for arrays, null and all else. */
export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}
