// Where a chain goes on after the process that wrote it is gone. What that process left behind its last whole
// line is cut off, in the segment and beside it. Call with the chain's lock held.

import { hash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync, rmSync, truncateSync, unlinkSync } from 'node:fs'
import { genesisHash, readSeal } from '../audit/chain.ts'
import type { JournalOpen } from '../audit/journal-record.ts'
import type { Tip } from '../audit/storage.ts'
import { Failure } from '../errors.ts'
import type { SegmentIo } from './append-file.ts'
import { lastLines } from './lines.ts'
import { listSegments, overflowPath } from './segments.ts'

/** What half a line left by a dead process came to. */
export type Recovered = NonNullable<JournalOpen['recovered']>

/** The end of the chain on disk. */
export function recoverTip(
  directory: string,
  chain: string,
  io: Pick<SegmentIo, 'syncNow'>,
): { readonly tip: Tip; readonly recovered: Recovered | undefined } {
  let recovered: Recovered | undefined
  const segments = listSegments(directory).filter((segment) => segment.chain === chain)
  for (const segment of segments.reverse()) {
    const { lines, end, torn } = lastLines(segment.path, 1)
    // Whole when it was compressed: what is not so now, no dying process has left.
    if (segment.compressed && (torn.length > 0 || lines.length === 0)) {
      throw damaged(segment.path, directory)
    }
    if (torn.length > 0) {
      recovered = { bytesCut: torn.length, sha256: hash('sha256', torn, 'hex') }
      truncateSync(segment.path, end)
    }
    const beside = overflowPath(directory, chain, segment.first)
    const line = lines[0]
    if (line === undefined) {
      // Created, and its process died or its disk was full before the first line.
      rmSync(beside, { force: true })
      unlinkSync(segment.path)
      continue
    }
    if (existsSync(beside)) truncateSync(beside, lastLines(beside, 1).end)
    const said = readSeal(line)
    if (said === undefined) throw damaged(segment.path, directory)
    const unsure = segments.filter(({ compressed, first }) => !compressed && first <= segment.first)
    for (const { path } of unsure.slice(0, 2)) toDisk(path, io)
    return { tip: { ...said, chainId: said.chainId ?? newChainId() }, recovered }
  }
  return { tip: { chainId: newChainId(), sequence: 0, hash: genesisHash }, recovered }
}

/**
 * Of the process that died, the last segment may not be on the disk yet, nor the one before if it had just
 * been ended. What this process will say is safe must not come to stand behind a hole.
 */
function toDisk(path: string, io: Pick<SegmentIo, 'syncNow'>): void {
  const fd = openSync(path, 'r')
  try {
    io.syncNow(fd)
  } finally {
    closeSync(fd)
  }
}

function newChainId(): string {
  return randomBytes(8).toString('hex')
}

function damaged(path: string, directory: string): Failure {
  return new Failure('invalid_configuration', {
    message: `the audit journal is damaged: the last line of ${path} is not an audit record`,
    hint: `Keep the directory as it is for whoever investigates, see "pgwarden audit verify ${directory}", and start with another journal directory.`,
  })
}
