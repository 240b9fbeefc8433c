// The smallest table that shows whether something ran: t(a), with the rows 1 and 2 before each test.

import type { Warden } from './warden.ts'

export const twoRows = 'CREATE TABLE t (a int);'

export async function refill(warden: Warden): Promise<void> {
  await warden.asSuperuser((client) => client.query('TRUNCATE t; INSERT INTO t VALUES (1), (2)'))
}

export async function rowsOf(warden: Warden): Promise<readonly number[]> {
  return warden.asSuperuser(async (client) => {
    const { rows } = await client.query<{ a: number }>('SELECT a FROM t ORDER BY a')
    return rows.map(({ a }) => a)
  })
}
