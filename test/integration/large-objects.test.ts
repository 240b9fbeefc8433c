// The large-object interface of client libraries, which goes by FunctionCall: what a role may do by it is
// what it may do by SQL. The OIDs that stand for functions are compared with what servers have.

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { calledAs } from '../../src/session/called-as.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { sqlstates } from '../support/answers.ts'
import { connectedTo } from '../support/databases.ts'
import { olderServerIsInstalled, startOlderServer } from '../support/older-server.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { sql } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const psql = findPsql() ?? ''
if (psql === '') console.warn('NOT RUN: psql is not installed, so its large objects are not tested')

let warden: Warden
let directory: string

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'))
  directory = await mkdtemp(join(tmpdir(), 'pgwarden-lo-'))
})
afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
  await warden.stop()
})

/** What FunctionCall can name on a server, by OID, as the SQL that calls it. */
const interfaceOf = `
  SELECT oid::int, format('SELECT pg_catalog.%s(%s)', proname,
    (SELECT string_agg('$' || n, ', ') FROM generate_series(1, pronargs) n)) AS text,
    proname IN ('lo_open', 'lo_close', 'loread', 'lowrite', 'lo_lseek', 'lo_lseek64', 'lo_creat',
      'lo_create', 'lo_tell', 'lo_tell64', 'lo_truncate', 'lo_truncate64', 'lo_unlink') AS ours
  FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace`

async function comparesWith(adminUrl: string): Promise<void> {
  const { rows } = await connectedTo(adminUrl, (client) =>
    client.query<{ oid: number; text: string; ours: boolean }>(interfaceOf),
  )
  expect(rows.filter(({ ours }) => ours)).toHaveLength(13)
  for (const { oid, text, ours } of rows) {
    expect(calledAs(oid, undefined)?.toString(), text).toBe(ours ? text : undefined)
  }
}

describe('the OIDs of large-object functions, and no others, are known by the name that they have', () => {
  it('on the server of these tests', () => comparesWith(inject('adminUrl')))

  it.runIf(olderServerIsInstalled())('on PostgreSQL 15', async () => {
    const server = await startOlderServer()
    try {
      await comparesWith(server.adminUrl)
    } finally {
      await server.stop()
    }
  })
})

describe.runIf(psql !== '')('psql', () => {
  const run = async (role: string, script: string): Promise<{ stdout: string; stderr: string }> => {
    const words = ['-X', '-q', '-A', '-t', '-d', await warden.conninfo(role)]
    return runProgram(psql, words, { input: script })
  }

  it('imports a file, exports it again and removes it, and each call is recorded', async () => {
    const [from, to] = [join(directory, 'from'), join(directory, 'to')]
    const content = randomBytes(3_000_000)
    await writeFile(from, content)
    const { stderr } = await run(
      'read_limited_write',
      `\\lo_import ${from}\n\\lo_export :LASTOID ${to}\n\\lo_unlink :LASTOID\n`,
    )
    expect(stderr).toBe('')
    expect((await readFile(to)).equals(content)).toBe(true)
    const calls = (await warden.journal('statement')).filter(
      (r) => r['protocol'] === 'functionCall',
    )
    const texts = calls.map((r) => String(r['text']))
    expect(texts).toContain('SELECT pg_catalog.lo_creat($1)')
    expect(texts).toContain('SELECT pg_catalog.lo_open($1, 131072)')
    expect(texts).toContain('SELECT pg_catalog.lo_open($1, 262144)')
    expect(
      texts.filter((text) => text === 'SELECT pg_catalog.lowrite($1, $2)').length,
    ).toBeGreaterThan(9)
    const outcomes = (await warden.journal('outcome')).map((r) => r['statement'])
    expect(outcomes).toEqual(expect.arrayContaining(calls.map((r) => r['id'])))
  })

  it('exports for a reading role, and imports and removes nothing', async () => {
    const [from, to] = [join(directory, 'a'), join(directory, 'b')]
    await writeFile(from, 'what is kept')
    const loid = await warden.asSuperuser(async (client) => {
      const { rows } = await client.query<{ oid: number }>(
        "SELECT lo_from_bytea(0, 'secret') AS oid",
      )
      return rows[0]?.oid ?? 0
    })
    const { stderr } = await run(
      'read_only',
      `\\lo_export ${loid} ${to}\n\\lo_import ${from}\n\\lo_unlink ${loid}\n`,
    )
    expect(await readFile(to, 'utf8')).toBe('secret')
    expect(stderr.match(/permission denied for role read_only: function pg_catalog\.\w+/g)).toEqual(
      [
        'permission denied for role read_only: function pg_catalog.lo_creat',
        'permission denied for role read_only: function pg_catalog.lo_unlink',
      ],
    )
    const count = 'SELECT count(*)::int AS n FROM pg_largeobject_metadata'
    const { rows } = await warden.asSuperuser((client) => client.query<{ n: number }>(count))
    expect(rows).toEqual([{ n: 1 }])
  })
})

describe('by the protocol', () => {
  const int4 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }
  const calls = async (wire: WireClient, oid: number, ...args: readonly Buffer[]) => {
    const call = { type: 'functionCall', oid, argumentFormats: [1], arguments: args } as const
    wire.says({ ...call, resultFormat: 1 })
    return wire.hears('readyForQuery', 30_000)
  }
  const result = (messages: readonly BackendMessage[]): Buffer => {
    for (const message of messages) {
      if (message.type === 'functionCallResponse' && message.value !== null) return message.value
    }
    throw new Error(`no result in ${JSON.stringify(messages)}`)
  }

  it('writes and reads 30 MB in one message each', async () => {
    const wire = await WireClient.logIn(warden.port, await warden.login('read_limited_write'))
    const content = randomBytes(30_000_000)
    wire.says(sql('BEGIN'))
    await wire.hears('readyForQuery')
    const loid = result(await calls(wire, 957, int4(-1)))
    const descriptor = result(await calls(wire, 952, loid, int4(0x60000)))
    expect(result(await calls(wire, 955, descriptor, content)).readInt32BE()).toBe(content.length)
    await calls(wire, 956, descriptor, int4(0), int4(0))
    // One answer for as many pieces as a socket gives would be copied together each time.
    const bytes = createHash('sha256').update(content).digest('hex')
    wire.says(sql(`SELECT encode(sha256(lo_get(${loid.readUInt32BE()})), 'hex')`))
    const heard = await wire.hears('readyForQuery')
    const row = heard.find((message) => message.type === 'dataRow')
    expect(row?.values.map(String)).toEqual([bytes])
    wire.close()
  })

  it('fails in its place when it is denied, and takes the transaction with it', async () => {
    const wire = await WireClient.logIn(warden.port, await warden.login('read_only'))
    wire.says(sql('BEGIN'))
    await wire.hears('readyForQuery')
    const heard = await calls(wire, 964, int4(1))
    expect(sqlstates(heard)).toEqual(['42501'])
    expect(heard.at(-1)).toEqual({ type: 'readyForQuery', status: 'E' })
    wire.says(sql('ROLLBACK'))
    expect((await wire.hears('readyForQuery')).at(-1)).toEqual({
      type: 'readyForQuery',
      status: 'I',
    })
    wire.close()
  })
})
