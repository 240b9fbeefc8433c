// The proof that read_only is read-only: with a superuser's login upstream, everything that the corpora
// hold and thousands of random statements, half of them with a trap, are sent through the proxy; and
// the database, its server's settings and files are afterwards, byte for byte, what they were before.
// Then that read_limited_write changes data and nothing else. PROOF_STATEMENTS makes it longer,
// PROOF_SEED another one.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { corpora } from '../support/corpora.ts'
import { seeded } from '../support/random-session.ts'
import { type Attempt, attempt, type Numbers } from '../support/random-sql.ts'
import { traps, utilities, writes } from '../support/random-traps.ts'
import { sql } from '../support/scripted-session.ts'
import { Prover } from '../support/state-prover.ts'
import { Warden } from '../support/warden.ts'

const schema = fixture('state-proof.sql')
const statements = Number(process.env['PROOF_STATEMENTS'] ?? 2500)
const seed = Number(process.env['PROOF_SEED'] ?? 1)

let warden: Warden
let numbers: Numbers

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
  numbers = await readNumbers()
})
afterAll(() => warden.stop())

describe('read_only', () => {
  let prover: Prover
  beforeAll(async () => {
    prover = await Prover.start(warden, 'read_only')
  })
  afterAll(() => prover.stop())

  it('changes nothing with any statement of the corpora', async () => {
    const { tally, culprits } = await prover.prove(corpora().map(simply))
    expect(culprits).toEqual([])
    expect(tally.ran).toBeGreaterThan(250)
    expect(tally.denied).toBeGreaterThan(50)
  })

  it('changes nothing with any trap by itself', async () => {
    const expressions = [...traps.calls('1'), ...traps.disguises(), ...traps.builtIns()]
    const texts = [...expressions.map((trap) => `SELECT ${trap}`), ...writes, ...utilities]
    const { culprits } = await prover.prove(texts.map(simply), texts.length)
    expect(culprits).toEqual([])
  }, 600_000)

  it(`changes nothing with ${statements} random statements from seed ${seed}`, async () => {
    const random = seeded(seed)
    const attempts = Array.from({ length: statements }, () =>
      attempt(random, numbers, ['calls', 'disguises', 'builtIns']),
    )
    const { tally, culprits } = await prover.prove(attempts)
    expect(culprits).toEqual([])
    // Statements that do not run, or without a trap, would prove nothing.
    expect(tally.ran).toBeGreaterThan(statements * 0.4)
    expect(tally.denied).toBeGreaterThan(statements * 0.2)
  }, 1_800_000)

  it('leaves every file of the data directory, and a dump, as they were', async () => {
    expect(await prover.changedFiles()).toEqual([])
    const [before, after] = await prover.dumps()
    expect(after).toBe(before)
  })
})

describe('read_only where operators of common names run user code', () => {
  let other: Warden
  let prover: Prover
  beforeAll(async () => {
    other = await Warden.start(inject('adminUrl'), {
      schema: `${schema}${fixture('state-proof-operators.sql')}`,
    })
    prover = await Prover.start(other, 'read_only')
  })
  afterAll(async () => {
    await prover.stop()
    await other.stop()
  })

  it('changes nothing with any construct that implies one', async () => {
    const texts = traps.unwritten().map((trap) => `SELECT ${trap}`)
    const { culprits } = await prover.prove(texts.map(simply), texts.length)
    expect(culprits).toEqual([])
  })
})

describe('read_limited_write', () => {
  /** Rows, sequences and large objects with their files and owners; who waits and who is told. */
  const mayChange = (ofDependencies: readonly number[]): RegExp =>
    new RegExp(
      [
        /^(public|sales)\./,
        /^pg_catalog\.(pg_largeobject|pg_largeobject_metadata|pg_shdepend)$/,
        // Where rows were written, autovacuum comes.
        /^pg_catalog\.(pg_class|pg_statistic)$/,
        /^(notifications|locks that are kept|counters of writes)$/,
        /^\.\/base\/|^\.\/pg_(multixact|notify)\//,
        new RegExp(`^\\./global/(${ofDependencies.join('|')})(_|$)`),
      ]
        .map(({ source }) => source)
        .join('|'),
    )
  let prover: Prover
  beforeAll(async () => {
    const files = await warden.asSuperuser((su) =>
      su.query<{ file: number }>(
        // pg_shdepend and its indexes, wherever a REINDEX has put them.
        'select pg_relation_filenode(oid) as file from pg_class where oid in (1214, 1232, 1233)',
      ),
    )
    const ofDependencies = files.rows.map(({ file }) => Number(file))
    prover = await Prover.start(warden, 'read_limited_write', mayChange(ofDependencies))
  })
  afterAll(() => prover.stop())

  // The role may call the database's own functions, which can do anything: no such call is in it.
  it(`changes data alone with random statements from seed ${seed}`, async () => {
    const random = seeded(seed)
    const attempts = Array.from({ length: statements / 2 }, () =>
      attempt(random, { types: [], functions: numbers.functions }, ['builtIns']),
    )
    const { tally, culprits } = await prover.prove(attempts)
    expect(culprits).toEqual([])
    expect(tally.ran).toBeGreaterThan(statements * 0.2)
    expect(tally.denied).toBeGreaterThan(statements * 0.05)
  }, 1_800_000)

  it('leaves the server’s own files as they were', async () => {
    expect(await prover.changedFiles()).toEqual([])
  })
})

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
}

function simply(text: string): Attempt {
  return { messages: [sql(text)] }
}

async function readNumbers(): Promise<Numbers> {
  return warden.asSuperuser(async (client) => {
    const types = await client.query<{ oid: number; value: string }>(`
      SELECT t::regtype::oid AS oid, v AS value FROM (VALUES ('evildom', '1'), ('eviler', '1'),
        ('holder', '(1)'), ('evildom[]', '{1}'), ('domained', '(1,{})')) x (t, v)`)
    const functions = await client.query<{ oid: number }>(`
      SELECT oid FROM pg_proc WHERE proname IN ('my_udf', 'tells', 'locks', 'lo_create',
        'pg_advisory_lock', 'lo_unlink') AND pronargs = 1`)
    return {
      types: types.rows.map(({ oid, value }) => [oid, value]),
      functions: functions.rows.map(({ oid }) => oid),
    }
  })
}
