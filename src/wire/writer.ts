// Builds messages: a type byte, a length that is filled in at the end, and fields. For the messages
// that pgwarden makes itself; what it relays is never built again.

export class MessageWriter {
  #bytes = Buffer.allocUnsafe(128)
  #at = 0
  #lengthAt = 0

  /** Starts a message; a startup-phase packet has no type byte. */
  begin(type?: string): this {
    if (type !== undefined) this.byte(type.charCodeAt(0))
    this.#lengthAt = this.#at
    return this.int32(0)
  }

  /** Ends the message begun last by filling in its length. */
  end(): this {
    this.#bytes.writeInt32BE(this.#at - this.#lengthAt, this.#lengthAt)
    return this
  }

  byte(value: number): this {
    this.#room(1)
    this.#bytes[this.#at++] = value
    return this
  }

  int16(value: number): this {
    this.#room(2)
    this.#at = this.#bytes.writeUInt16BE(value & 0xffff, this.#at)
    return this
  }

  int32(value: number): this {
    this.#room(4)
    this.#at = this.#bytes.writeInt32BE(value | 0, this.#at)
    return this
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
    return this
  }

  /** A NUL-terminated string. A NUL inside would end it early and change the message: cut there. */
  string(value: string): this {
    const nul = value.indexOf('\0')
    const safe = Buffer.from(nul === -1 ? value : value.slice(0, nul), 'utf8')
    return this.bytes(safe).byte(0)
  }

  /** A value preceded by its length; null is length -1. */
  value(value: Uint8Array | null): this {
    return value === null ? this.int32(-1) : this.int32(value.length).bytes(value)
  }

  /** All messages written so far, as one buffer of their exact size. */
  take(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at))
  }

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
