// A journal as the ledger of changes needs it: their records are stored together, in one turn, or none is.
// Ignorant of transactions.

import type { LedgerPorts } from '../access/ledger.ts'
import { changeRecord, changeUndoneRecord } from './change-record.ts'
import type { Journal } from './journal.ts'

export function changesIn(journal: Journal): Pick<LedgerPorts, 'record' | 'undone'> {
  return {
    async record(changes) {
      const stored = changes.map(({ number, change }) =>
        journal.record(changeRecord(number, change)),
      )
      await Promise.all(stored)
    },
    undone(changes, result) {
      for (const { number, change } of changes) {
        journal.append(changeUndoneRecord(number, change, result))
      }
    },
  }
}
