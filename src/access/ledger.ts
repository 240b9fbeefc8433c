// Every change is one transaction together with its audit record: lock and decide, write the rows, write the
// change's row, record it in the journal, commit. So nothing is changed that is not recorded; and where the
// commit fails after the record, a second record says so. Ignorant of what is changed.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import type { Change } from './change.ts'
import type { DeskStore, DeskTransaction, NumberedChange } from './desk-store.ts'

export interface LedgerPorts {
  readonly store: Pick<DeskStore, 'transaction'>
  readonly clock: Clock
  /** All of them or none. @throws Failure journal_unavailable */
  record(changes: readonly NumberedChange[]): Promise<void>
  /** They were recorded and not committed; `unknown` when the store did not say whether they were. */
  undone(changes: readonly NumberedChange[], result: Undone): void | Promise<void>
  /** They are true: for those who have to act on them. */
  committed(changes: readonly Change[]): void
}

export type Undone = 'undone' | 'unknown'

/** What a step has come to, and what it changed on the way. */
export interface Done<T> {
  readonly result: T
  readonly changes: readonly Change[]
}

/** @throws what `step` throws, having changed nothing; Failure journal_unavailable or cannot_connect_now. */
export async function transact<T>(
  ports: LedgerPorts,
  step: (transaction: DeskTransaction) => Promise<Done<T>>,
): Promise<T> {
  let recorded: readonly NumberedChange[] = []
  const { result, changes } = await ports.store
    .transaction(async (transaction) => {
      const done = await step(transaction)
      const numbered: NumberedChange[] = []
      for (const change of done.changes) {
        const number = await transaction.insertChange(change, ports.clock.now())
        numbered.push({ number, change })
      }
      if (numbered.length > 0) await ports.record(numbered).catch(rethrowAsUnchanged)
      recorded = numbered
      return done
    })
    .catch(async (error: unknown) => {
      if (recorded.length > 0) {
        await ports.undone(recorded, isUnknown(error) ? 'unknown' : 'undone')
      }
      throw error
    })
  if (changes.length > 0) ports.committed(changes)
  return result
}

/** Records a change of something that is kept elsewhere, before it is made. @throws as `transact` */
export function recordAlone(ports: LedgerPorts, change: Change): Promise<void> {
  return transact(ports, () => Promise.resolve({ result: undefined, changes: [change] }))
}

/** A connection that is lost in a commit leaves open whether the store has heard it. */
function isUnknown(error: unknown): boolean {
  return error instanceof Failure && error.code === 'cannot_connect_now'
}

/** The journal speaks of statements. */
function rethrowAsUnchanged(cause: unknown): never {
  if (!(cause instanceof Failure) || cause.code !== 'journal_unavailable') throw cause
  throw new Failure(
    'journal_unavailable',
    {
      message: 'the audit journal cannot be written, so nothing was changed',
      hint: 'Try again in a moment; if it goes on, tell an operator of this proxy.',
    },
    { cause },
  )
}
