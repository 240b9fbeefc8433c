// Which segments of a chain are so old that they may go: a row of them from its beginning, never the last one.
// All that has to be known of a segment stands in the first line of the one behind it, so none is read
// whole. Deletes nothing. Ignorant of sinks.

import { readSeal, type Seal } from '../audit/chain.ts'
import type { RetiredSegment } from '../audit/journal-record.ts'
import { readHead } from '../audit/line.ts'
import { placeBefore } from '../audit/segment-check.ts'
import { lastLines, readLines } from './lines.ts'
import type { Segment } from './segments.ts'

export interface OldSegment extends RetiredSegment {
  readonly segment: Segment
}

/** Those whose last record is older than `before` (milliseconds since the epoch) and not behind `upTo`. */
export async function olderThan(
  before: number,
  segments: readonly Segment[],
  upTo: number,
): Promise<readonly OldSegment[]> {
  const old: OldSegment[] = []
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    // A segment that is missing between them is the verifier's concern; this one ends before `next` all the same.
    if (next === undefined || next.first - 1 > upTo) break
    const opening = await firstLine(next)
    const began = opening && readHead(opening)?.time
    if (opening === undefined || began === undefined || !(Date.parse(began) < before)) break
    const { hash } = placeBefore({ sequence: next.first, line: opening }) ?? lastOf(segment) ?? {}
    if (hash === undefined) break
    const { file, first } = segment
    old.push({ segment, file, first, last: next.first - 1, hash })
  }
  return old
}

async function firstLine({ path }: Segment): Promise<Buffer | undefined> {
  for await (const piece of readLines(path)) {
    if (piece.type === 'lines') return piece.lines[0]
  }
  return undefined
}

/** Asked where the next segment does not say what it goes on from: it was written by an earlier version. */
function lastOf({ path }: Segment): Seal | undefined {
  const [line] = lastLines(path, 1).lines
  return line && readSeal(line)
}
