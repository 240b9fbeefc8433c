import { beforeAll, describe, expect, it } from 'vitest'
import type { Operations } from '../../src/cli/operations.ts'
import { Failure } from '../../src/errors.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/parser.ts'
import { pgwarden } from '../support/command-line.ts'

const operations: Partial<Operations> = {
  policy: async () => new Policy(predefinedRoles, { maxBytes: 1_048_576 }),
}
const check = (stdin: string | Buffer, role = 'read_only') =>
  pgwarden(['policy', 'check', '--role', role], operations, { stdin })

beforeAll(() => loadParser())

describe('policy check', () => {
  it('answers each line in order, with status 0 when all are allowed', async () => {
    const { status, stdout, stderr } = await check(
      '{"id":"a","sql":"select 1"}\n\n{"id":"b","sql":"show timezone"}',
    )
    const answers = stdout.trim().split('\n')
    expect(answers).toHaveLength(2)
    expect(answers[0]).toMatch(/^\{"id":"a","decision":"allow","tags":\["SELECT"\],"rule":"/)
    expect(answers[1]).toMatch(/^\{"id":"b","decision":"allow","tags":\["SHOW"\],"rule":"/)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })

  it('ends with status 1 when one is denied, wherever it stands', async () => {
    const { status, stdout } = await check(
      '{"id":"a","sql":"delete from t"}\n{"id":"b","sql":"select 1"}\n',
    )
    expect(status).toBe(1)
    expect(stdout).toContain('{"id":"a","decision":"deny","tags":["DELETE"]')
    expect(stdout).toContain('{"id":"b","decision":"allow"')
  })

  it.each([
    { input: '{"id":"a","sql":"delete from t"}\n{"id":"b"}\n', says: 'line 2 of the input' },
    { input: 'select 1\n', says: 'line 1 of the input' },
    { input: Buffer.from([0x7b, 0xff, 0x0a]), says: 'the input is not UTF-8' },
    { input: Buffer.from([0x7b, 0x7d, 0x0a, 0xc3]), says: 'line 1 of the input' },
  ])('ends with status 2 for input that it cannot read: $says', async ({ input, says }) => {
    const { status, stderr } = await check(input)
    expect(status).toBe(2)
    expect(stderr).toContain(says)
  })

  it('judges a text with a line separator in it as one', async () => {
    const { status, stdout } = await check(`{"id":"a","sql":"select '\u2028'; delete from t"}\n`)
    expect(status).toBe(1)
    expect(stdout).toContain('"tags":["SELECT","DELETE"]')
  })

  it('names the roles there are when asked for another', async () => {
    const { status, stderr } = await check('', 'read_onyl')
    expect(status).toBe(2)
    expect(stderr).toContain('there is no role "read_onyl"')
    expect(stderr).toContain('read_only, read_limited_write, read_full_write, admin')
  })

  it.each([
    { sql: 'select 1', decision: 'allow', expected: 0 },
    { sql: 'drop table t', decision: 'deny', expected: 1 },
  ])('answers --sql "$sql" for people', async ({ sql, decision, expected }) => {
    const words = ['policy', 'check', '--role', 'read_only', '--sql', sql]
    const { status, stdout } = await pgwarden(words, operations)
    expect(status).toBe(expected)
    expect(stdout).toContain(`decision      ${decision}\n`)
  })
})

describe('policy explain', () => {
  it('answers a program with the facts, the rule and the way to more', async () => {
    const sql = 'copy (select f(1) from shop.t) to stdout'
    const words = ['policy', 'explain', '--role', 'read_only', '--json', '--sql', sql]
    const { status, stdout } = await pgwarden(words, operations)
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      decision: 'deny',
      rule: 'read_only/functions',
      error: { sqlstate: '42501' },
      allowedTo: ['read_limited_write', 'read_full_write', 'admin'],
      statements: [
        {
          tag: 'COPY',
          relations: [{ schema: 'shop', name: 't', access: 'read' }],
          functions: [{ name: 'f', kind: 'unknown' }],
          copies: [{ direction: 'to', endpoint: 'client' }],
        },
      ],
    })
  })
})

describe('policy check --catalog', () => {
  const twice = {
    schema: 'lib',
    name: 'twice',
    volatile: false,
    leastArguments: 1,
    mostArguments: 1,
    extension: undefined,
  }
  const catalog = Catalog.of({
    format: 1,
    serverVersion: 180_000,
    functions: [twice, { ...twice, name: 'effect', volatile: true }],
    operators: [],
    types: [],
    views: [],
    relations: [],
  })
  const words = ['policy', 'check', '--role', 'read_only', '--catalog', 'shop.json']
  const knowing = { ...operations, catalog: async () => catalog }

  it('judges by what is known of the database, each line and --sql alike', async () => {
    const stdin = '{"id":"a","sql":"select lib.twice(1)"}\n{"id":"b","sql":"select (1).effect"}\n'
    const { status, stdout } = await pgwarden(words, knowing, { stdin })
    expect(status).toBe(1)
    expect(stdout).toContain('{"id":"a","decision":"allow"')
    expect(stdout).toContain('{"id":"b","decision":"deny"')
    expect((await pgwarden([...words, '--sql', 'select lib.twice(1)'], knowing)).status).toBe(0)
    expect((await check('{"id":"a","sql":"select lib.twice(1)"}')).status).toBe(1)
  })

  it('judges nothing by a file that cannot be used, and says why', async () => {
    const catalog = () =>
      Promise.reject(
        new Failure('invalid_configuration', { message: 'shop.json: types: expected a list' }),
      )
    const stdin = '{"id":"a","sql":"select 1"}\n'
    const { status, stdout, stderr } = await pgwarden(words, { ...operations, catalog }, { stdin })
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain('shop.json: types: expected a list')
  })
})

describe('policy snapshot', () => {
  it('prints the snapshot of the target and nothing else', async () => {
    const asked: object[] = []
    const { status, stdout } = await pgwarden(
      ['policy', 'snapshot', '--config', 'pgwarden.yaml', '--target', 'shop'],
      {
        snapshot: async (options) => {
          asked.push(options)
          return '{}\n'
        },
      },
    )
    expect({ status, stdout }).toEqual({ status: 0, stdout: '{}\n' })
    expect(asked).toEqual([{ configFile: 'pgwarden.yaml', target: 'shop' }])
  })
})
