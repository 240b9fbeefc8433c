// Spoils protocol frames as an attacker, or a broken program, would: with knowledge of where the type,
// the length and the counts are. Deterministic by its generator. Ignorant of what frames mean.

import { pick, type Random } from './random-session.ts'

/** Where a frame's Int32 length stands: behind its type byte, or first in a startup packet. */
type LengthAt = 0 | 1

export function whole(random: Random, below: number): number {
  return Math.floor(random() * below)
}

export function randomBytes(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: whole(random, most + 1) }, () => whole(random, 256)))
}

const hugeLengths = [0x7fffffff, 0x40000000, 0x40000001, 0x3fffffff, 0x00100000, 0x00110004]
const badLengths = [0, 1, 2, 3, 4, 5, -1, -2147483648, 10_000, 10_001, 65_535]
const types = [...'QPBEDCHSXFfcdpRKZTNAVGWInstv123'].map((letter) => letter.charCodeAt(0))

/** One frame, spoilt in one place or kept as it is. */
export function mutateFrame(random: Random, frame: Buffer, lengthAt: LengthAt = 1): Buffer {
  const bytes = Buffer.from(frame)
  const end = bytes.length
  switch (whole(random, 12)) {
    case 0:
      if (lengthAt === 1) bytes[0] = random() < 0.7 ? pick(random, types) : whole(random, 256)
      return bytes
    case 1:
      return withLength(bytes, lengthAt, pick(random, badLengths))
    case 2:
      return withLength(bytes, lengthAt, pick(random, hugeLengths))
    case 3:
      return withLength(bytes, lengthAt, end - lengthAt + pick(random, [-1, 1, -4, 4, 100]))
    case 4:
      // A flipped bit is how text becomes something that was never judged.
      for (let flips = 1 + whole(random, 3); flips > 0; flips--) flip(random, bytes, 0)
      return bytes
    case 5:
      flip(random, bytes, lengthAt + 4)
      return bytes
    case 6:
      return bytes.subarray(0, whole(random, end))
    case 7: {
      // A shorter body with a length that is right.
      const cut = bytes.subarray(0, lengthAt + 4 + whole(random, Math.max(1, end - lengthAt - 3)))
      return withLength(cut, lengthAt, cut.length - lengthAt)
    }
    case 8: {
      const longer = Buffer.concat([bytes, randomBytes(random, 20)])
      return random() < 0.7 ? withLength(longer, lengthAt, longer.length - lengthAt) : longer
    }
    case 9:
      // No NUL where a string should end.
      for (let at = lengthAt + 4; at < end; at++) if (bytes[at] === 0) bytes[at] = 0x20
      return bytes
    case 10:
      if (end >= lengthAt + 6) {
        const at = lengthAt + 4 + whole(random, end - lengthAt - 5)
        bytes.writeUInt16BE(pick(random, [0, 1, 0x7fff, 0x8000, 0xffff]), at)
      }
      return bytes
    default:
      return bytes
  }
}

/** A sequence with some of its frames spoilt, dropped, doubled, moved, or strangers among them. */
export function mutateSequence(
  random: Random,
  frames: readonly Buffer[],
  stranger: () => Buffer,
  lengthAt: LengthAt = 1,
): readonly Buffer[] {
  const mutated = [...frames]
  for (let steps = whole(random, 4); steps > 0; steps--) {
    const at = whole(random, mutated.length)
    const frame = mutated[at] ?? stranger()
    switch (whole(random, 7)) {
      case 0:
        mutated.splice(at, 1)
        break
      case 1:
        mutated.splice(whole(random, mutated.length + 1), 0, frame)
        break
      case 2:
        mutated.splice(whole(random, mutated.length + 1), 0, stranger())
        break
      case 3:
        mutated.splice(at, 1)
        mutated.splice(whole(random, mutated.length + 1), 0, frame)
        break
      case 4:
        mutated.splice(at, 0, randomBytes(random, 30))
        break
      default:
        mutated.splice(at, 1, mutateFrame(random, frame, lengthAt))
    }
  }
  return mutated
}

/** The same bytes as they could arrive: at once, byte by byte, or cut anywhere. */
export function chunks(random: Random, bytes: Buffer): readonly Buffer[] {
  // Much that comes byte by byte only takes long.
  const step = pick(random, [bytes.length, bytes.length, 0, bytes.length >> 3, 1, 5])
  const least = bytes.length >> 8
  const cut: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + Math.max(1, least, step === 0 ? whole(random, 80) : step)
    cut.push(bytes.subarray(at, end))
    at = end
  }
  return cut
}

function withLength(bytes: Buffer, at: LengthAt, length: number): Buffer {
  if (bytes.length >= at + 4) bytes.writeInt32BE(length, at)
  return bytes
}

function flip(random: Random, bytes: Buffer, from: number): void {
  if (bytes.length <= from) return
  const at = from + whole(random, bytes.length - from)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << whole(random, 8))
}
