// A desk on a store in memory, with the clock and the ears of its surroundings in the test's hands.

import type { Change } from '../../src/access/change.ts'
import type { Desk } from '../../src/access/desk.ts'
import type { NumberedChange } from '../../src/access/desk-store.ts'
import type { LedgerPorts, Undone } from '../../src/access/ledger.ts'
import { openDesk } from '../../src/access/open-desk.ts'
import type { AccessRules } from '../../src/access/rules.ts'
import { Failure } from '../../src/errors.ts'
import { accessRules } from './access-rules.ts'
import { MemoryDeskStore } from './memory-desk-store.ts'
import { HeldClock } from './memory-journal.ts'

export interface MemoryDesk {
  readonly desk: Desk
  readonly store: MemoryDeskStore
  readonly clock: HeldClock
  readonly ledger: LedgerPorts
  /** What is in the journal, was taken back, and took effect. */
  readonly recorded: NumberedChange[]
  readonly undone: { readonly change: NumberedChange; readonly result: Undone }[]
  readonly committed: Change[]
  /** Whether the journal can be written. */
  readonly journal: { failing: boolean }
  /** The same store under other rules, as after a restart with another configuration. */
  under(rules: AccessRules): Desk
}

export function memoryDesk(rules: AccessRules = accessRules): MemoryDesk {
  const store = new MemoryDeskStore()
  const clock = new HeldClock()
  const recorded: NumberedChange[] = []
  const undone: { readonly change: NumberedChange; readonly result: Undone }[] = []
  const committed: Change[] = []
  const journal = { failing: false }
  const ledger: LedgerPorts = {
    store,
    clock,
    async record(changes) {
      if (journal.failing) throw new Failure('journal_unavailable', { message: 'the disk is full' })
      recorded.push(...changes)
    },
    undone: (changes, result) => {
      undone.push(...changes.map((change) => ({ change, result })))
    },
    committed: (changes) => {
      committed.push(...changes)
    },
  }
  const under = (other: AccessRules): Desk =>
    openDesk({ ...ledger, store, rules: other, tokens: { redeemWithinMs: 600_000 } })
  return { desk: under(rules), store, clock, ledger, recorded, undone, committed, journal, under }
}

/** The failure that `work` ends in. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => new Error('it was done'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}
