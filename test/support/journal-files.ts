// The lines of a journal as they lie on the disk, read in one go and in the simplest way: what the product's
// own readers say is held against this. Ignorant of what a line is.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

export interface SegmentLines {
  readonly file: string
  /** Without their line feeds; half a line at the end is none. */
  readonly lines: readonly Buffer[]
}

/** All segments in the order of their chains, compressed or not. */
export function segmentsOf(directory: string): readonly SegmentLines[] {
  const files = readdirSync(directory).filter((file) =>
    /^[a-z0-9-]+-\d{12}\.jsonl(\.gz)?$/.test(file),
  )
  // While one is being compressed both are there, and the plain one counts.
  const chosen = files.filter((file) => !files.includes(file.replace(/\.gz$/, '')) || isPlain(file))
  return chosen.sort().map((file) => ({ file, lines: linesOf(readSegment(directory, file)) }))
}

function readSegment(directory: string, file: string): Buffer {
  const path = join(directory, file)
  if (!isPlain(file)) return gunzipSync(readFileSync(path))
  try {
    return readFileSync(path)
  } catch (error) {
    // Its compressed copy has taken its place since.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    return gunzipSync(readFileSync(`${path}.gz`))
  }
}

function isPlain(file: string): boolean {
  return file.endsWith('.jsonl')
}

function linesOf(bytes: Buffer): readonly Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0, end = 0; ; start = end + 1) {
    end = bytes.indexOf(0x0a, start)
    if (end === -1) return lines
    lines.push(bytes.subarray(start, end))
  }
}
