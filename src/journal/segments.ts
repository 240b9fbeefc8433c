// The files of a journal: a chain is a row of segments `<chain>-<first sequence>.jsonl` in one
// directory, so that their names alone tell the order and where one is missing.
// Ignorant of what the lines say.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../errors.ts'

export interface Segment {
  readonly chain: string
  /** The sequence number of its first record, as its name says. */
  readonly first: number
  readonly file: string
  readonly path: string
}

const segmentName = /^([a-z0-9][a-z0-9-]*)-([0-9]{12})\.jsonl$/

export function segmentPath(directory: string, chain: string, first: number): string {
  return join(directory, `${chain}-${String(first).padStart(12, '0')}.jsonl`)
}

/** Beside a segment: the texts that were too long for its records. */
export function overflowPath(directory: string, chain: string, first: number): string {
  return join(directory, `${chain}-${String(first).padStart(12, '0')}.overflow.jsonl`)
}

/** All segments in the directory, by chain and then in order. Other files are passed over. */
export function listSegments(directory: string): readonly Segment[] {
  const segments: Segment[] = []
  for (const file of readdirSync(directory)) {
    const [, chain, first] = segmentName.exec(file) ?? []
    if (chain === undefined || first === undefined) continue
    segments.push({ chain, first: Number(first), file, path: join(directory, file) })
  }
  return segments.sort((a, b) => (a.chain === b.chain ? a.first - b.first : order(a, b)))
}

/** The same for a reader, to whom a directory without segments is a mistake in the path. */
export function findSegments(directory: string): readonly Segment[] {
  let segments: readonly Segment[] = []
  let cause: unknown
  try {
    segments = listSegments(directory)
  } catch (error) {
    cause = error
  }
  if (segments.length > 0) return segments
  throw new Failure(
    'not_found',
    {
      message: `there is no audit journal in ${directory}`,
      hint: 'Give the directory that holds the *.jsonl files of the journal.',
    },
    { cause },
  )
}

function order(a: Segment, b: Segment): number {
  return a.chain < b.chain ? -1 : 1
}
