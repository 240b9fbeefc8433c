// Lines of a segment, read in bounded memory: the last few from the end backwards, or all from an
// offset on. Bytes behind the last line feed are half a line: a writer died there, or is just writing.
// Ignorant of what the lines say.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'

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

/** The last `count` lines of a file, reading no more of it than they need. */
export function lastLines(path: string, count: number): LastLines {
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
    const length = tail.lastIndexOf(lineFeed) + 1
    // Where reading stopped short of the file's start, the first piece is half a line: one more line
    // feed than `count` was found, so it is never among those returned.
    const lines = splitLines(tail.subarray(0, length))
    return {
      lines: lines.slice(Math.max(0, lines.length - count)),
      end: from + length,
      torn: tail.subarray(length),
    }
  } finally {
    closeSync(fd)
  }
}

/** What a file holds from `offset` on: batches of whole lines without line feeds, then what is torn. */
export type Piece =
  | { readonly type: 'lines'; readonly lines: readonly Buffer[] }
  | { readonly type: 'torn'; readonly bytes: number }

export async function* readLines(path: string, offset = 0): AsyncGenerator<Piece> {
  const file = await open(path, 'r')
  try {
    let position = offset
    let rest = Buffer.alloc(0)
    for (;;) {
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafeSlow(chunkBytes),
        0,
        chunkBytes,
        position,
      )
      if (bytesRead === 0) break
      position += bytesRead
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const length = bytes.lastIndexOf(lineFeed) + 1
      const lines = splitLines(bytes.subarray(0, length))
      rest = bytes.subarray(length)
      if (rest.length > longestLine) {
        // Handed on as a line, it is found to be none.
        lines.push(rest)
        rest = Buffer.alloc(0)
      }
      if (lines.length > 0) yield { type: 'lines', lines }
    }
    if (rest.length > 0) yield { type: 'torn', bytes: rest.length }
  } finally {
    await file.close()
  }
}

/** A line without its line feed, and the offset behind that. */
export interface PlacedLine {
  readonly line: Buffer
  readonly end: number
}

/** The lines before `end`, which is behind a line feed, from the last one to the first. */
export async function* linesBackwards(path: string, end: number): AsyncGenerator<PlacedLine> {
  const file = await open(path, 'r')
  try {
    let from = end
    let rest = Buffer.alloc(0)
    while (from > 0) {
      const step = Math.min(chunkBytes, from)
      const { bytesRead, buffer } = await file.read(Buffer.alloc(step), 0, step, from - step)
      if (bytesRead < step) throw new Error(`${path} became shorter while it was read`)
      from -= step
      const bytes = Buffer.concat([buffer, rest])
      let stop = bytes.length
      // A negative offset would count from the end.
      for (let at = 0; stop > 1; stop = at + 1) {
        at = bytes.lastIndexOf(lineFeed, stop - 2)
        if (at < 0) break
        yield { line: bytes.subarray(at + 1, stop - 1), end: from + stop }
      }
      rest = bytes.subarray(0, stop)
    }
    if (rest.length > 0) yield { line: rest.subarray(0, -1), end: rest.length }
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
