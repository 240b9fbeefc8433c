// Texts made to cost time: one statement must not stop everybody's.

import { beforeAll, describe, expect, it } from 'vitest'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'

const catalog = Catalog.unread()

beforeAll(loadParser)

const policy = () => new Policy(predefinedRoles, { maxBytes: 1024 * 1024 })

describe('a text made to cost time is judged in less than a second:', () => {
  it.each([
    ['comments without end and a syntax error', `SELECT ${'/**/'.repeat(16_000)}from from`],
    ['tokens without end and a syntax error', `SELECT ${'1,'.repeat(30_000)} /**/ from from`],
    ['a type name of brackets', `SELECT pg_input_is_valid('1','${'[]'.repeat(40_000)}x')`],
    ['a search_path of spaces', `SET search_path = 'a${' '.repeat(80_000)}x'`],
    ['quotes in a search_path', `SET search_path = 'a${'"'.repeat(80_000)}x'`],
    ['an identifier of 100 KB', `SELECT ${'a'.repeat(100_000)} FROM t`],
    ['blanks', ' '.repeat(200_000)],
    ['semicolons', ';'.repeat(50_000)],
  ])('%s', (_, text) => {
    const startedAt = performance.now()
    policy().judge('read_only', Buffer.from(text), catalog)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})

describe('texts that break a parser', () => {
  const deep = Buffer.from(`SELECT 1${'+1'.repeat(12_000)}`)

  it('are refused, and leave everybody else’s statements alone at once', () => {
    const judge = policy()
    for (let n = 0; n < 10; n++) {
      expect(judge.judge('read_only', deep, catalog).decision).toMatchObject({
        failure: { sqlstate: '54001' },
      })
      expect(judge.judge('read_only', Buffer.from(`SELECT ${n}`), catalog).decision.outcome).toBe(
        'allow',
      )
    }
  })

  it('of the longest length that shares a parser with everybody do not break it', () => {
    const judge = policy()
    for (let n = 0; n < 10; n++) {
      for (const level of ['+1', '::a', ' ISNULL', '[1]', ' UNION SELECT 1']) {
        const text = `SELECT a${level.repeat(Math.floor(6_000 / level.length))}`
        const { analysis } = judge.judgeText('read_only', text)
        expect(analysis).not.toMatchObject({ code: 'statement_too_complex' })
      }
    }
  }, 30_000)
})
