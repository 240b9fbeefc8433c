// Lines of a segment, compressed or not, read in bounded memory: the last few, all from an offset on, or all
// from the end backwards. Offsets are of the uncompressed bytes. Bytes behind the last line feed are half a
// line: a writer died there, or is just writing. Ignorant of what the lines say.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import {
  type Block,
  inflated,
  inflatedBackwards,
  inflatedWhole,
  isCompressed,
  TooShort,
} from './inflate.ts'

const lineFeed = 0x0a
const chunkBytes = 256 * 1024
/** No record comes near this; a damaged file without line feeds must not be read into memory whole. */
const longestLine = 16 * 1024 * 1024

export interface LastLines {
  /** At most as many as asked for, oldest first, without line feeds. */
  readonly lines: readonly Buffer[]
  /** The offset behind the last line feed. */
  readonly end: number
  /** What stands behind it. */
  readonly torn: Buffer
}

/** The last `count` lines of a file, reading no more of it than they need; a compressed one is read whole. */
export function lastLines(path: string, count: number): LastLines {
  if (isCompressed(path)) return lastOf(inflatedWhole(path), 0, count)
  const fd = openSync(path, 'r')
  try {
    let from = fstatSync(fd).size
    let tail = Buffer.alloc(0)
    let found = 0
    for (let step = 64 * 1024; from > 0 && found <= count; step *= 2) {
      const block = Buffer.alloc(Math.min(step, from))
      const read = readSync(fd, block, 0, block.length, from - block.length)
      if (read < block.length) throw new Error(`${path} became shorter while it was read`)
      from -= block.length
      found += countLineFeeds(block)
      tail = Buffer.concat([block, tail])
    }
    return lastOf(tail, from, count)
  } finally {
    closeSync(fd)
  }
}

/**
 * Where reading stopped short of the file's start, the first piece is half a line: one more line feed than
 * `count` was found, so it is never among those returned.
 */
function lastOf(tail: Buffer, from: number, count: number): LastLines {
  const length = tail.lastIndexOf(lineFeed) + 1
  const lines = splitLines(tail.subarray(0, length))
  return {
    lines: lines.slice(Math.max(0, lines.length - count)),
    end: from + length,
    torn: tail.subarray(length),
  }
}

/** What a file holds from `offset` on: batches of whole lines without line feeds, then what is torn. */
export type Piece =
  | { readonly type: 'lines'; readonly lines: readonly Buffer[] }
  | { readonly type: 'torn'; readonly bytes: number }

/** A line that is longer than `longest` comes in pieces. */
export async function* readLines(
  path: string,
  offset = 0,
  longest = longestLine,
): AsyncGenerator<Piece> {
  const chunks = isCompressed(path) ? inflated(path, offset) : plain(path, offset)
  // Joined once there is a line: again for each chunk, a long one would take the square of its length.
  let rest: Buffer[] = []
  let held = 0
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(lineFeed) + 1
    const lines = end === 0 ? [] : splitLines(Buffer.concat([...rest, chunk.subarray(0, end)]))
    if (end > 0) {
      rest = []
      held = 0
    }
    rest.push(chunk.subarray(end))
    held += chunk.length - end
    if (held > longest) {
      // Handed on as a line, it is found to be none.
      lines.push(Buffer.concat(rest))
      rest = []
      held = 0
    }
    if (lines.length > 0) yield { type: 'lines', lines }
  }
  if (held > 0) yield { type: 'torn', bytes: held }
}

async function* plain(path: string, offset: number): AsyncGenerator<Buffer> {
  const file = await open(path, 'r')
  try {
    for (let position = offset; ; ) {
      const block = Buffer.allocUnsafeSlow(chunkBytes)
      const { bytesRead } = await file.read(block, 0, chunkBytes, position)
      if (bytesRead === 0) return
      position += bytesRead
      yield block.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** A line without its line feed, and the offset behind that. */
export interface PlacedLine {
  readonly line: Buffer
  readonly end: number
}

/**
 * The lines before `end`, which is behind a line feed, from the last one to the first; without `end` all
 * whole lines of the file. @throws TooShort when the file ends before `end`.
 */
export async function* linesBackwards(path: string, end?: number): AsyncGenerator<PlacedLine> {
  const blocks = isCompressed(path) ? inflatedBackwards(path, end) : plainBackwards(path, end)
  let rest = Buffer.alloc(0)
  let torn = end === undefined
  for await (const block of blocks) {
    const { from } = block
    let bytes = Buffer.concat([block.bytes, rest])
    if (torn) {
      bytes = bytes.subarray(0, bytes.lastIndexOf(lineFeed) + 1)
      torn = bytes.length === 0
    }
    let stop = bytes.length
    // A negative offset would count from the end.
    for (let at = 0; stop > 1; stop = at + 1) {
      at = bytes.lastIndexOf(lineFeed, stop - 2)
      if (at < 0) break
      yield { line: bytes.subarray(at + 1, stop - 1), end: from + stop }
    }
    if (stop > longestLine) {
      // As above; what else it begins with is passed over.
      yield { line: bytes.subarray(0, stop), end: from + stop }
      torn = true
    }
    rest = torn ? Buffer.alloc(0) : bytes.subarray(0, stop)
  }
  if (rest.length > 0) yield { line: rest.subarray(0, -1), end: rest.length }
}

async function* plainBackwards(path: string, end?: number): AsyncGenerator<Block> {
  const file = await open(path, 'r')
  try {
    for (let from = end ?? (await file.stat()).size; from > 0; ) {
      const step = Math.min(chunkBytes, from)
      const { bytesRead, buffer } = await file.read(Buffer.alloc(step), 0, step, from - step)
      if (bytesRead < step) throw new TooShort(path)
      from -= step
      yield { bytes: buffer, from }
    }
  } finally {
    await file.close()
  }
}

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(lineFeed, from)
    lines.push(bytes.subarray(from, end))
    from = end + 1
  }
  return lines
}

function countLineFeeds(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(lineFeed); at >= 0; at = bytes.indexOf(lineFeed, at + 1)) count += 1
  return count
}
