/// <reference types="vite/client" />

/** Set by the build. */
declare const WEIGHTSPEC_VERSION: string;

declare module 'virtual:specifications' {
  /** Folder of specs/ → its clauses by id and its header fields by name. */
  export type Specifications = Readonly<Record<string, {
    readonly clauses: Readonly<Record<string, string>>;
    readonly fields: Readonly<Record<string, { readonly doc?: string; readonly clauses: readonly string[] }>>;
  }>>;
  export const specifications: Specifications;
}
