// Reads the end of a journal and what is added to it, across rotation: for `audit tail`. Polls, since
// notifications of file changes are not to be had on every file system. Ignorant of records.

import { setTimeout as sleep } from 'node:timers/promises'
import { ChainReader, type Place } from './chain-reader.ts'
import { lastLines } from './lines.ts'
import { findSegments, type Segment } from './segments.ts'

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
  let at: Place | undefined
  for (const segment of [...segments].reverse()) {
    const { lines, end } = lastLines(segment.path, options.lines - shown.length)
    at ??= { segment, offset: end }
    shown.unshift(...lines.map((line) => line.toString()))
    if (shown.length >= options.lines) break
  }
  yield* shown

  if (!options.follow || at === undefined) return
  const reader = new ChainReader(at)
  while (!signal.aborted) {
    for await (const line of reader.fresh(directory)) yield line.toString()
    await pause(pollMs, signal)
  }
}

/** Resolves after the time, or when it is over. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
