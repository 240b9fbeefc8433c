import { describe, expect, it } from 'vitest'
import { definitionTexts, type Query } from '../../src/catalog/definition-texts.ts'

const of = { oid: 'c.oid', expression: 'definition', from: 'FROM views AS c WHERE true' }

function lockTimeout(): Error {
  return Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
}

/** Answers for a server with so many views, of which some cannot be read. */
function server(count: number, problem: (oid: number) => Error | undefined, text = 'SELECT 1') {
  const rows = Array.from({ length: count }, (_, n) => ({ oid: 20_000 + n }))
  const asked: string[] = []
  let failed = false
  const query = ((command: string) => {
    asked.push(command)
    const range = /BETWEEN (\d+) AND (\d+)/.exec(command)
    if (command.startsWith('ROLLBACK TO')) failed = false
    if (failed) return Promise.reject(new Error('current transaction is aborted'))
    if (range === null) return Promise.resolve([])
    const within = rows.filter(({ oid }) => oid >= Number(range[1]) && oid <= Number(range[2]))
    const error = within.map(({ oid }) => problem(oid)).find((one) => one !== undefined)
    failed = error !== undefined
    return error === undefined
      ? Promise.resolve(within.map((row) => ({ ...row, text })))
      : Promise.reject(error)
  }) as Query
  return { rows, query, asked }
}

describe('the definitions of views', () => {
  it('are read but for those whose tables somebody has locked', async () => {
    const locked = new Set([20_000, 20_700, 21_199])
    const { rows, query } = server(1_200, (oid) => (locked.has(oid) ? lockTimeout() : undefined))
    const { texts, refused } = await definitionTexts(query, rows, of)
    expect(rows.filter(({ oid }) => !texts.has(oid)).map(({ oid }) => oid)).toEqual([...locked])
    expect(refused).toBe(true)
  })

  it('are left out, and not waited for, where the server can never write them', async () => {
    const never = new Error('stack depth limit exceeded')
    const { rows, query } = server(10, (oid) => (oid === 20_003 ? never : undefined))
    const { texts, refused } = await definitionTexts(query, rows, of)
    expect(texts.size).toBe(9)
    expect(refused).toBe(false)
  })

  it('are asked for a bounded number of times when everything is locked', async () => {
    const { rows, query, asked } = server(20_000, lockTimeout)
    expect((await definitionTexts(query, rows, of)).texts.size).toBe(0)
    expect(asked.length).toBeLessThan(1_000)
  })

  it('are read up to a total', async () => {
    const long = 'x'.repeat(60_000)
    const { rows, query, asked } = server(5_000, () => undefined, long)
    const { texts } = await definitionTexts(query, rows, of)
    expect(texts.size).toBe(Math.floor((64 * 1024 * 1024) / long.length))
    expect(asked.filter((text) => text.includes('BETWEEN'))).toHaveLength(3)
  })

  it('fail to be read when the connection does', async () => {
    const query: Query = (text) =>
      text.startsWith('SAVEPOINT') ? Promise.resolve([]) : Promise.reject(new Error('gone'))
    await expect(definitionTexts(query, [{ oid: 20_000 }], of)).rejects.toThrow('gone')
  })
})
