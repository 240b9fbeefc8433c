// An operator reads the journal's files: of one that is being written that is recorded in it, as it is when
// somebody reads it through the API, or it is not read. A copy has nobody to record for. Whoever may read the
// files can read them without pgwarden, too: docs/audit.md says so.

import { operatorChain } from '../audit/chain.ts'
import { auditReadRecord } from '../audit/read-record.ts'
import type { Operations } from '../cli/operations.ts'
import { Failure } from '../errors.ts'
import { type TailOptions, tailDirectory } from '../journal/follow.ts'
import { isHeld } from '../journal/lock.ts'
import { type QueryOptions, queryDirectory } from '../journal/query.ts'
import { findSegments } from '../journal/segments.ts'
import { operator, recordAsOperator } from './operator-journal.ts'

export const tailJournal: Operations['tailJournal'] = async function* (
  directory: string,
  options: TailOptions,
  signal: AbortSignal,
) {
  await recordRead(directory, 'tail', options)
  yield* tailDirectory(directory, options, signal)
}

export const queryJournal: Operations['queryJournal'] = async function* (
  directory: string,
  options: QueryOptions,
  signal: AbortSignal,
) {
  await recordRead(directory, 'query', options)
  yield* queryDirectory(directory, options, signal)
}

/** Each such record begins a segment, which holds but that. */
const segmentBytes = 1024 * 1024

async function recordRead(
  directory: string,
  how: 'tail' | 'query',
  { filter }: Pick<QueryOptions, 'filter'>,
): Promise<void> {
  // Nothing is begun in a directory that is no journal.
  const chains = new Set(findSegments(directory).map(({ chain }) => chain))
  chains.delete(operatorChain)
  const isLive = [...chains].some((chain) => isHeld(directory, chain))
  if (!isLive) return
  try {
    const record = auditReadRecord({ by: operator(), how, filter })
    await recordAsOperator({ directory, segmentBytes }, [record])
  } catch (error) {
    throw new Failure(
      'journal_unavailable',
      {
        message: 'that you read this journal could not be recorded in it, so it is not read',
        detail: `A running pgwarden writes it, and each read of it is on record. ${error instanceof Error ? error.message : String(error)}`,
        hint: 'Run this as the account that pgwarden runs under, or ask the server: leave the directory away. A copy of the directory can be read without.',
      },
      { cause: error },
    )
  }
}
