// The values of a Bind, as far as they are at hand: a Bind of a gigabyte is never gathered, and whoever
// wants to know what it says is told what there is and how much is missing.
// PostgreSQL documentation, "Message Formats".

import { Body } from './body.ts'
import { headerBytes } from './frames.ts'

/** `bytes` is the beginning of `size` of them, or all; null is SQL's. */
export interface BindValue {
  /** 0: text. 1: binary. */
  readonly format: number
  readonly bytes: Buffer | null
  readonly size: number
}

export interface BindValues {
  readonly count: number
  /** The first of them. */
  readonly values: readonly BindValue[]
}

/**
 * At most the first `most` values of a Bind whose range holds at least its two names. Undefined when it
 * does not say how many there are. Throws a protocol_violation for what cannot be a Bind.
 */
export function decodeBindValues(
  bytes: Buffer,
  start: number,
  end: number,
  most: number,
): BindValues | undefined {
  const body = new Body('Bind', bytes, start + headerBytes, end)
  body.stringBytes()
  body.stringBytes()
  if (body.left < 2) return undefined
  const formatCount = body.uint16()
  if (body.left < formatCount * 2 + 2) return undefined
  const formats = new Body('Bind', bytes, body.position, end)
  body.bytes(formatCount * 2)
  const count = body.uint16()
  const values: BindValue[] = []
  // One format is that of all of them, none is text.
  let format = formatCount === 1 ? formats.int16() : 0
  while (values.length < Math.min(count, most) && body.left >= 4) {
    if (formatCount > 1) format = values.length < formatCount ? formats.int16() : 0
    const size = body.int32()
    if (size === -1) values.push({ format, bytes: null, size: 0 })
    else values.push({ format, bytes: body.bytes(Math.min(size, body.left)), size })
  }
  return { count, values }
}
