// Reads one message body field by field, never past its end, and refuses a body that is not used up
// exactly: PostgreSQL does the same (pqformat.c, pq_getmsgend), and bytes that one side sees and the
// other does not are how two parsers are made to disagree.

import { Failure } from '../errors.ts'

export class Body {
  readonly #bytes: Buffer
  readonly #end: number
  readonly #message: string
  #at: number

  /** `bytes[start, end)` is the body, without type and length; `message` names it in errors. */
  constructor(message: string, bytes: Buffer, start: number, end: number) {
    this.#message = message
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get position(): number {
    return this.#at
  }

  get left(): number {
    return this.#end - this.#at
  }

  byte(): number {
    this.#want(1)
    return this.#bytes[this.#at++] ?? 0
  }

  int16(): number {
    this.#want(2)
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  uint16(): number {
    this.#want(2)
    this.#at += 2
    return this.#bytes.readUInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#want(4)
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  uint32(): number {
    this.#want(4)
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  /** A view, not a copy. */
  bytes(count: number): Buffer {
    if (count < 0) throw this.#bad('has a negative length inside')
    this.#want(count)
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  /** A value preceded by its Int32 length; null for -1. */
  value(): Buffer | null {
    const length = this.int32()
    return length === -1 ? null : this.bytes(length)
  }

  /** The bytes of a NUL-terminated string, without the NUL: a view, not a copy. */
  stringBytes(): Buffer {
    const nul = this.#bytes.indexOf(0, this.#at)
    if (nul === -1 || nul >= this.#end) throw this.#bad('has a string without a terminator')
    const from = this.#at
    this.#at = nul + 1
    return this.#bytes.subarray(from, nul)
  }

  string(): string {
    return this.stringBytes().toString('utf8')
  }

  /** Throws unless the body is used up. */
  done(): void {
    if (this.#at !== this.#end) throw this.#bad(`has ${this.left} bytes too many`)
  }

  bad(what: string): Failure {
    return this.#bad(what)
  }

  #want(count: number): void {
    if (this.#end - this.#at < count) throw this.#bad('is too short')
  }

  #bad(what: string): Failure {
    return new Failure('protocol_violation', {
      message: 'invalid message format',
      detail: `The ${this.#message} message ${what}.`,
    })
  }
}
