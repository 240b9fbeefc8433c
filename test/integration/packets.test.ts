// Every byte on both legs of the proxy, gone over for what belongs to the other leg: a client never sees
// what opens the target's door, and the target never sees what opens pgwarden's. Nor are any of these
// in the log, the metrics or the journal.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { scramVerifier } from '../../src/wire/scram.ts'
import { encodeCancelRequest } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { build } from '../support/executable.ts'
import { Recorder, type Tapped } from '../support/recorder.ts'
import { sql } from '../support/scripted-session.ts'
import { checkStrangersAnswer } from '../support/strangers-answer.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

type Login = Awaited<ReturnType<Warden['login']>>

let warden: Warden
/** Between pgwarden and PostgreSQL; between the clients and pgwarden. */
let inner: Recorder
let outer: Recorder
let login: Login

beforeAll(async () => {
  await build()
  const adminUrl = inject('adminUrl')
  inner = await Recorder.start(Number(new URL(adminUrl).port || 5432))
  warden = await Warden.start(adminUrl, {
    ownProcess: true,
    logLevel: 'debug',
    targetPort: inner.port,
    schema: 'create table items (id int)',
  })
  outer = await Recorder.start(warden.port)
}, 60_000)
afterAll(async () => {
  await outer.stop()
  await warden.stop()
  await inner.stop()
})

/** A grant of its own for each test, and with it a database role. */
beforeEach(async () => {
  login = await warden.login('read_limited_write', { user: `user_${Math.random()}` })
  inner.instead = () => undefined
})

/** What the client got of a login that fails. */
async function refusedLogin(): Promise<Buffer> {
  const client = await WireClient.dial(outer.port)
  client.startup({ user: login.user, database: 'shop' })
  await client.proves(login.password)
  const heard = await client.hearsTheEnd()
  client.close()
  expect(sqlstates(heard)).toHaveLength(1)
  return outer.connections.at(-1)?.heard ?? Buffer.alloc(0)
}

/** The database role of the grant, once somebody has logged in. */
async function leaseRole(): Promise<string> {
  const [lease] = await warden.inStore(async (store) => {
    const { rows } = await store.query<{ role: string }>(
      `select l.database_role as role from pgwarden.leases l join pgwarden.grants g on g.id = l.grant_id
       where g.principal = $1`,
      [login.user],
    )
    return rows
  })
  if (lease === undefined) throw new Error('no lease')
  return lease.role
}

async function logInAndLeave(): Promise<void> {
  const client = await WireClient.logIn(outer.port, login)
  client.close()
}

describe('a login that the target refuses', () => {
  it.each([
    ['with too many connections', '53300', 'sorry, too many clients already'],
    ['because it is shutting down', '57P03', 'the database system is shutting down'],
    [
      'by its pg_hba.conf',
      '28000',
      'pg_hba.conf rejects connection for host "10.0.0.1", user "$ROLE"',
    ],
    ['because of its password', '28P01', 'password authentication failed for user "$ROLE"'],
    ['without a word that is known', 'XX000', 'could not open relation "$ROLE"'],
  ])('%s tells the client nothing of the target', async (_, C, text) => {
    await logInAndLeave()
    const refused: string[] = []
    inner.instead = (startup) => {
      const role = /\0user\0(pgw_[^\0]+)/.exec(startup.toString('latin1'))?.[1]
      if (role === undefined) return undefined
      refused.push(role)
      const M = text.replace('$ROLE', role)
      return encodeBackend({ type: 'errorResponse', fields: { S: 'FATAL', V: 'FATAL', C, M } })
    }
    const heard = await refusedLogin()
    checkStrangersAnswer(heard, 'a token holder')
    expect(refused).not.toEqual([])
    for (const role of refused) {
      expect(heard.includes(role)).toBe(false)
      expect(heard.includes(text.replace('$ROLE', role))).toBe(false)
    }
  })

  it.each(["PASSWORD 'changed'", 'NOLOGIN'])(
    'since somebody has said ALTER ROLE %s is replaced by another one',
    async (change) => {
      await logInAndLeave()
      const role = await leaseRole()
      await warden.asSuperuser((su) => su.query(`ALTER ROLE "${role}" ${change}`))
      await logInAndLeave()
      const heard = outer.connections.at(-1)?.heard ?? Buffer.alloc(0)
      expect(heard.includes(role)).toBe(false)
      expect(heard.includes('password authentication failed')).toBe(false)
    },
  )
})

it('gives the client a cancel key of its own, which the target never sees, and the target’s to nobody', async () => {
  const client = await WireClient.dial(outer.port)
  client.startup({ user: login.user, database: 'shop' })
  await client.proves(login.password)
  const welcome = await client.hears('readyForQuery')
  const key = welcome.find((message) => message.type === 'backendKeyData')
  if (key?.type !== 'backendKeyData') throw new Error('no cancel key')
  client.says(sql('SELECT pg_sleep(30)'))
  await sleep(200)
  const canceller = await WireClient.dial(outer.port)
  canceller.socket.write(encodeCancelRequest(key.processId, key.secret))
  await canceller.hearsTheEnd()
  expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
  client.says(sql('SELECT nowhere'), sql('DROP TABLE items'), { type: 'terminate' })
  expect(sqlstates(await client.hearsTheEnd())).toEqual(['42703', '42501'])
  canceller.close()

  const theirs = inner.connections.flatMap(({ cancelSecret }) => cancelSecret ?? [])
  expect(theirs.length).toBeGreaterThan(0)
  for (const secret of theirs) {
    expect(outer.connections.some(({ heard }) => heard.includes(secret))).toBe(false)
  }
  expect(inner.connections.some(({ said }) => said.includes(key.secret))).toBe(false)
})

it('lets nothing of one leg’s login onto the other, into the log, the metrics or the journal', async () => {
  // Runs last: all that the other tests said is gone over.
  await logInAndLeave()
  const inside = values(inner.connections)
  const outside = [...values(outer.connections), ...outer.connections.flatMap(tokenOf)]
  const admin = decodeURIComponent(new URL(inject('adminUrl')).password)
  const verifiers = await warden.asSuperuser(async (su) => {
    const { rows } = await su.query<{ text: string }>(
      "select rolpassword as text from pg_authid where rolname like 'pgw\\_%' and rolpassword is not null",
    )
    return rows.map(({ text }) => text)
  })
  // Salt, nonces, proof and signature of at least one login; the parts of at least one verifier.
  expect(inside.length).toBeGreaterThan(4)
  expect(verifiers.length).toBeGreaterThan(0)
  expect(outside.length).toBeGreaterThan(0)

  const clients = outer.connections.flatMap(({ said, heard }) => [said, heard])
  const targets = inner.connections.flatMap(({ said, heard }) => [said, heard])
  const written = [Buffer.from(await everythingWritten())]
  const parts = verifiers.flatMap((verifier) => verifier.split(/[$:]/).slice(2))
  expectNone([...inside, ...parts, admin], [...clients, ...written])
  expectNone(outside, [...targets, ...written])
  await expectNoPassword(verifiers, [...clients, ...written])
})

function values(connections: readonly Tapped[]): readonly string[] {
  return connections.flatMap(({ saslValues }) => saslValues)
}

/** The secret half of a token that was sent as a password. */
function tokenOf({ said }: Tapped): readonly string[] {
  const token = /p.{4}pgw_[^_]+_([^\0]+)\0/s.exec(said.toString('latin1'))?.[1]
  return token === undefined ? [] : [token]
}

function expectNone(secrets: readonly string[], places: readonly Buffer[]): void {
  for (const secret of new Set(secrets)) {
    expect(secret.length).toBeGreaterThan(7)
    const found = places.some((place) => place.includes(secret))
    expect(found, `the secret ${secret.slice(0, 4)}...`).toBe(false)
  }
}

/** A password is known here by what PostgreSQL keeps of it: each word that could be one is tried. */
async function expectNoPassword(
  verifiers: readonly string[],
  places: readonly Buffer[],
): Promise<void> {
  const words = new Set(
    places.flatMap((place) => place.toString('latin1').match(/[A-Za-z0-9_-]{43}/g) ?? []),
  )
  for (const verifier of verifiers) {
    const [, rounds, salt = ''] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(verifier) ?? []
    for (const word of words) {
      const made = await scramVerifier(word, Buffer.from(salt, 'base64'), Number(rounds))
      expect(made === verifier, 'the password of a database role').toBe(false)
    }
  }
}

async function everythingWritten(): Promise<string> {
  const journal = await Promise.all(
    (await readdir(warden.journalDirectory)).map((name) =>
      readFile(join(warden.journalDirectory, name), 'utf8'),
    ),
  )
  const metrics = await (await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)).text()
  const log = warden.run?.stdout ?? ''
  expect(log).toContain('session ended')
  return [log, warden.run?.stderr ?? '', metrics, ...journal].join('\n')
}
