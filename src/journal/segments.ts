// The files of a journal: a chain is a row of segments `<chain>-<first sequence>.jsonl` in one
// directory, so that their names alone tell the order and where one is missing. A sealed one may be
// compressed, `.jsonl.gz`; beside one stand, in `.overflow.jsonl`, the texts that were too long for it.
// Ignorant of what the lines say.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../errors.ts'

export interface Segment {
  readonly chain: string
  /** The sequence number of its first record, as its name says. */
  readonly first: number
  readonly compressed: boolean
  readonly file: string
  readonly path: string
}

const segmentName = /^([a-z0-9][a-z0-9-]*)-([0-9]{12})\.jsonl(\.gz)?$/

export function segmentPath(directory: string, chain: string, first: number): string {
  return join(directory, `${chain}-${String(first).padStart(12, '0')}.jsonl`)
}

/** Where the long texts of a segment are, not yet compressed. */
export function overflowPath(directory: string, chain: string, first: number): string {
  return join(directory, `${chain}-${String(first).padStart(12, '0')}.overflow.jsonl`)
}

/** The same as it is there now, compressed or not; undefined when the segment has no such texts. */
export function findOverflow(
  directory: string,
  { chain, first }: Pick<Segment, 'chain' | 'first'>,
): string | undefined {
  const plain = overflowPath(directory, chain, first)
  return [plain, `${plain}.gz`].find((path) => existsSync(path))
}

/**
 * All segments in the directory, by chain and then in order. Other files are passed over. Where one is
 * there twice, compressing it has not ended, and the plain one counts.
 */
export function listSegments(directory: string): readonly Segment[] {
  const segments: Segment[] = []
  const files = new Set(readdirSync(directory))
  for (const file of files) {
    const [, chain, first, gz] = segmentName.exec(file) ?? []
    if (chain === undefined || first === undefined) continue
    const compressed = gz !== undefined
    if (compressed && files.has(file.slice(0, -gz.length))) continue
    segments.push({ chain, first: Number(first), compressed, file, path: join(directory, file) })
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

export type Chains = ReadonlyMap<string, readonly Segment[]>

/** Segments that are in order, chain by chain; of all chains, or of one. */
export function chainsOf(
  segments: readonly Segment[],
  wanted: { readonly chain?: string },
): Chains {
  const chains = new Map<string, Segment[]>()
  for (const segment of segments) {
    if (!isWanted(segment, wanted)) continue
    const others = chains.get(segment.chain)
    if (others === undefined) chains.set(segment.chain, [segment])
    else others.push(segment)
  }
  return chains
}

export function isWanted(
  { chain }: Pick<Segment, 'chain'>,
  wanted: { readonly chain?: string },
): boolean {
  return wanted.chain === undefined || wanted.chain === chain
}

function order(a: Segment, b: Segment): number {
  return a.chain < b.chain ? -1 : 1
}
