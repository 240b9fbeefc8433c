import { describe, expect, it } from 'vitest'
import { checkLines, checkStatement, parseLine } from '../../src/cli/policy-check.ts'
import { policy } from '../policy/predefined.ts'

async function check(...lines: readonly string[]): Promise<readonly unknown[]> {
  const results: unknown[] = []
  for await (const result of checkLines(policy, 'read_only', lines)) results.push(result)
  return results
}

describe('policy check', () => {
  it('answers each line in order, with the keys of the contract in their order', async () => {
    const results = await check(
      '{"id": "a", "sql": "SELECT 1; SELECT 2"}',
      '',
      '{"id": "b", "sql": "WITH d AS (DELETE FROM t) SELECT 1"}',
      '{"id": "c", "sql": "SELEC"}',
    )
    expect(results.map((result) => JSON.stringify(result))).toEqual([
      '{"id":"a","decision":"allow","tags":["SELECT","SELECT"],"rule":"read_only/commands","reason":"allowed: SELECT"}',
      '{"id":"b","decision":"deny","tags":["SELECT"],"rule":"read_only/commands","reason":"DELETE in common table expression \\"d\\""}',
      '{"id":"c","decision":"deny","tags":[],"rule":"read_only/parse","reason":"syntax error at or near \\"SELEC\\""}',
    ])
  })

  it('denies EXECUTE of what the statement itself has not prepared', () => {
    const decide = (sql: string) => checkStatement(policy, 'read_only', { id: 'x', sql }).decision
    expect(decide('EXECUTE p')).toBe('deny')
    expect(decide('PREPARE p AS SELECT 1; EXECUTE p')).toBe('allow')
    // Who may run code that nobody sees hears from the server that there is no such statement.
    const admin = checkStatement(policy, 'admin', { id: 'x', sql: 'EXECUTE p' })
    expect(admin.decision).toBe('allow')
  })

  it.each([
    ['{"id": "a"', 'line 3 of the input is not JSON'],
    ['[]', 'line 3 of the input has no string "id"'],
    ['null', 'line 3 of the input is not an object'],
    ['{"id": 1, "sql": ""}', 'line 3 of the input has no string "id"'],
    ['{"id": "a", "sql": null}', 'line 3 of the input has no string "sql"'],
  ])('says what is wrong with the line %s, and which it is', (line, message) => {
    expect(() => parseLine(line, 3)).toThrow(message)
  })

  it('judges 1,000 statements in under two seconds', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) =>
      JSON.stringify({
        id: String(i),
        sql: `SELECT * FROM t${i} JOIN u USING (a) WHERE b = lower('${i}')`,
      }),
    )
    const start = process.hrtime.bigint()
    expect(await check(...lines)).toHaveLength(1000)
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(2000)
  })
})
