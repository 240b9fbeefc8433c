// Reads the end of a journal and what is added to it, across rotation: for `audit tail`. Polls, since
// notifications of file changes are not to be had on every file system. Ignorant of records.

import { setTimeout as sleep } from 'node:timers/promises'
import { lastLines, readLines } from './lines.ts'
import { findSegments, listSegments, type Segment } from './segments.ts'

export interface TailOptions {
  /** Go on with lines as they are written, until the signal. */
  readonly follow: boolean
  /** How many of the lines that are there already. */
  readonly lines: number
  readonly chain?: string
}

const pollMs = 200

/** Whole lines without line feeds, oldest first. Throws a Failure (not_found) without a journal. */
export async function* tailDirectory(
  directory: string,
  options: TailOptions,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { chain = 'main' } = options
  const inChain = (segment: Segment): boolean => segment.chain === chain
  const segments = findSegments(directory).filter(inChain)

  const shown: string[] = []
  let at: { segment: Segment; offset: number } | undefined
  for (const segment of [...segments].reverse()) {
    const { lines, end } = lastLines(segment.path, options.lines - shown.length)
    at ??= { segment, offset: end }
    shown.unshift(...lines.map((line) => line.toString()))
    if (shown.length >= options.lines) break
  }
  yield* shown

  while (options.follow && at !== undefined && !signal.aborted) {
    const next = listSegments(directory).find(
      (segment) => inChain(segment) && segment.first > (at?.segment.first ?? 0),
    )
    // Read after the listing: once a later segment exists, nothing more is added to this one.
    for await (const piece of readLines(at.segment.path, at.offset)) {
      if (piece.type === 'torn') break
      for (const line of piece.lines) {
        at.offset += line.length + 1
        yield line.toString()
      }
    }
    if (next !== undefined) at = { segment: next, offset: 0 }
    else await pause(signal)
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  try {
    await sleep(pollMs, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
