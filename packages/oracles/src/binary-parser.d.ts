/** binary-parser 2.3 has types, but its exports map does not lead an ES module to them. Only what is used here. */
declare module 'binary-parser' {
  export class Parser {
    static start(): Parser;
    endianness(endianness: 'little' | 'big'): this;
    uint8(name: string): this;
    uint32(name: string, options?: { assert?: number }): this;
    int32(name: string, options?: { assert?: (value: number) => boolean }): this;
    nest(options: { type: Parser }): this;
    parse(bytes: Uint8Array): unknown;
  }
}
