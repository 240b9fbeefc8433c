// The WASM build of libpg_query, as its package ships it: a factory of independent instances. The
// package's own entry point keeps one instance for the process, which a trap would spoil for
// everybody; parser.ts therefore works with the factory. Only what parser.ts uses is declared.

declare module 'libpg-query/wasm/libpg-query.js' {
  export interface LibPgQuery {
    lengthBytesUTF8(text: string): number
    stringToUTF8(text: string, pointer: number, size: number): void
    UTF8ToString(pointer: number): string
    getValue(pointer: number, type: 'i32'): number
    _malloc(size: number): number
    _free(pointer: number): void
    _wasm_parse_query_raw(text: number): number
    _wasm_free_parse_result(result: number): void
    _wasm_scan(text: number): number
    _wasm_free_string(text: number): void
  }
  export default function createLibPgQuery(): Promise<LibPgQuery>
}
