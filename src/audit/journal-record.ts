// The records in which the journal speaks of itself: where segments begin and end, what was lost, what was
// deleted. Ignorant of files. docs/audit.md lists the fields.

import { quote } from './json.ts'

export interface JournalOpen {
  readonly chain: string
  /** `start`: a process began to write. `rotation`: it went on from the segment before. */
  readonly reason: 'start' | 'rotation'
  /** The hash of the record before it: segments are sealed to each other. */
  readonly previous: string
  /** Half a line that a process left when it died, cut off the segment before this one. */
  readonly recovered: { readonly bytesCut: number; readonly sha256: string } | undefined
}

/** The first record of a segment. */
export function journalOpenRecord(open: JournalOpen): string {
  const cut =
    open.recovered === undefined
      ? ''
      : `,"bytesCut":${open.recovered.bytesCut},"cutSha256":"${open.recovered.sha256}"`
  return (
    `"type":"journal.open","chain":${quote(open.chain)},"reason":"${open.reason}"` +
    `,"previous":"${open.previous}"${cut}`
  )
}

/** The last record of a segment that is full. `records` counts its lines, this one included. */
export function journalSealRecord(records: number): string {
  return `"type":"journal.seal","records":${records}`
}

/** The last record of an orderly stop. A chain that ends otherwise was killed, or cut. */
export function journalCloseRecord(): string {
  return '"type":"journal.close"'
}

/** Written after a failed write, to see whether the journal can be written again. */
export function journalCheckRecord(): string {
  return '"type":"journal.check"'
}

/** So many that nobody waited for no longer fitted into what is kept while nothing can be written. */
export function journalLostRecord(records: number): string {
  return `"type":"journal.lost","records":${records}`
}

export interface RetiredSegment {
  readonly file: string
  readonly first: number
  readonly last: number
  /** Of its last record. */
  readonly hash: string
}

/** Written before the segments are deleted because of their age. */
export function journalRetiredRecord(segments: readonly RetiredSegment[]): string {
  const each = segments.map(
    ({ file, first, last, hash }) =>
      `{"file":${quote(file)},"first":${first},"last":${last},"hash":"${hash}"}`,
  )
  return `"type":"journal.retired","segments":[${each.join(',')}]`
}
