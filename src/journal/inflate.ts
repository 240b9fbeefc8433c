// A compressed segment read as if it were plain: forwards in a stream, backwards in windows, with offsets of
// the uncompressed bytes. Deflate cannot be read from its end, so each window is another pass from the start:
// time, but neither memory nor disk grows with the file. Ignorant of lines. Format: RFC 1952.

import { createReadStream, readFileSync } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip, gunzipSync } from 'node:zlib'
import { Failure } from '../errors.ts'

const chunkBytes = 256 * 1024
/** A segment has at most 4 GiB and one batch. What swells beyond that was not compressed by pgwarden. */
const mostInflated = 4 * 1024 ** 3 + 64 * 1024 ** 2
/** At a time, when it has to be held whole. */
const mostHeld = 256 * 1024 ** 2
const windowBytes = 32 * 1024 ** 2

export function isCompressed(path: string): boolean {
  return path.endsWith('.gz')
}

/** @throws Failure that names the file when it is damaged; the file system's error when it cannot be read. */
export async function* inflated(path: string, offset = 0): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: chunkBytes })
  // What goes wrong with either comes out of the iteration.
  const chunks: AsyncIterable<Buffer> = pipeline(createReadStream(path), gunzip, () => undefined)
  let position = 0
  try {
    for await (const bytes of chunks) {
      position += bytes.length
      if (position > mostInflated) throw damaged(path, new Error('it has more than 4 GiB inside'))
      const wanted = Math.min(bytes.length, position - offset)
      if (wanted > 0) yield bytes.subarray(bytes.length - wanted)
    }
  } catch (error) {
    throw isOfZlib(error) ? damaged(path, error) : error
  } finally {
    gunzip.destroy()
  }
}

/** All of it, for who cannot wait: only a chain whose newest segment was compressed by hand needs that. */
export function inflatedWhole(path: string): Buffer {
  const bytes = readFileSync(path)
  try {
    return gunzipSync(bytes, { maxOutputLength: mostHeld })
  } catch (error) {
    throw damaged(path, error)
  }
}

/** A part of a file, and where it begins. */
export interface Block {
  readonly bytes: Buffer
  readonly from: number
}

/** The bytes before `end`, from the last window to the first; without an `end` all of them. */
export async function* inflatedBackwards(path: string, end?: number): AsyncGenerator<Block> {
  for (let stop = end; stop === undefined || stop > 0; ) {
    const block = await windowBefore(path, stop)
    yield block
    stop = block.from
  }
}

async function windowBefore(path: string, stop = Number.POSITIVE_INFINITY): Promise<Block> {
  const chunks: Buffer[] = []
  let held = 0
  let position = 0
  for await (const chunk of inflated(path)) {
    const wanted = chunk.subarray(0, stop - position)
    chunks.push(wanted)
    held += wanted.length
    position += wanted.length
    for (let [first] = chunks; first && held - first.length >= windowBytes; [first] = chunks) {
      chunks.shift()
      held -= first.length
    }
    if (position === stop) break
  }
  if (position < stop && stop !== Number.POSITIVE_INFINITY) throw new TooShort(path)
  return { bytes: Buffer.concat(chunks), from: position - held }
}

/** A file does not have the bytes that it was to be read from. */
export class TooShort extends Error {
  override readonly name = 'TooShort'

  constructor(path: string) {
    super(`${path} is shorter than the place from which it was to be read`)
  }
}

function isOfZlib(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && /^Z_|^ERR_BUFFER_TOO_LARGE/.test(`${error.code}`)
  )
}

function damaged(path: string, cause: unknown): Failure {
  return new Failure(
    'invalid_parameter',
    {
      message: `the compressed segment ${path} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`,
      hint: 'Put it back from a copy, or leave it out: what was shipped elsewhere can tell what it held.',
    },
    { cause },
  )
}
