// The books of the control plane: what the store says was changed, and what the journals of all wardens on
// it say. Each change has one record, in one of them, and each record its change.

import { expect } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import type { Warden } from './warden.ts'

/** Types of change, first to last. Fails where the books differ, or a journal does not verify. */
export async function changesOnRecord(wardens: readonly Warden[]): Promise<readonly string[]> {
  const [first] = wardens
  if (first === undefined) throw new Error('there are no books')
  const { rows } = await first.inStore((store) =>
    store.query<{ id: string; type: string }>('select id, type from pgwarden.changes order by id'),
  )
  const journals = await Promise.all(wardens.map((warden) => warden.journal()))
  const records = journals
    .flat()
    .filter((record) => record['change'] !== undefined)
    .map((record) => ({ id: String(record['change']), type: String(record['type']) }))
    .sort((one, other) => Number(one.id) - Number(other.id))
  expect(records).toEqual(rows)
  for (const { journalDirectory } of wardens) {
    expect(await verifyDirectory(journalDirectory)).toMatchObject({ ok: true })
  }
  return rows.map(({ type }) => type)
}
