// Who takes more than there is for one: connections of an address, sessions of a principal and of a grant,
// logins in a second, the length of a statement, the time of a session. Each hears why, and each is counted.

import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { encodeCancelRequest } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { eventually } from '../support/eventually.ts'
import { counted } from '../support/scrape.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const perSecond = 2

let warden: Warden
let login: Awaited<ReturnType<Warden['login']>>
const open: WireClient[] = []

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    listen: ['maxConnectionsPerAddress: 4'],
    limits: [
      'statementBytes: 1KiB',
      'sessionsPerPrincipal: 3',
      'sessionsPerGrant: 2',
      `loginsPerSecond: ${perSecond}`,
    ],
    roles: ['brief: { includes: [read_only], sessions: { sessionTimeout: 1s } }'],
    moreRoles: ['brief'],
  })
  login = await warden.login('read_only')
})
afterAll(() => warden.stop())
afterEach(async () => {
  for (const client of open.splice(0)) client.close()
  await eventually(async () => (await sessions()) === 0)
})

const sessions = (): Promise<number> => counted(warden, 'pgwarden_sessions')

async function dial(from: string): Promise<WireClient> {
  const client = await WireClient.dial(warden.port, from)
  open.push(client)
  return client
}

async function session(from: string, by = login): Promise<WireClient> {
  const client = await dial(from)
  await client.logsIn(by)
  return client
}

/** What a login that is refused is told. */
async function refusal(from: string, by = login): Promise<readonly BackendMessage[]> {
  const client = await dial(from)
  client.startup({ user: by.user, database: 'shop' })
  await client.proves(by.password).catch(() => undefined)
  return client.hearsTheEnd()
}

const refusals = (limit: string): Promise<number> =>
  counted(warden, 'pgwarden_limit_refusals_total', `limit="${limit}"`)

it('has so many connections of one address, and others get theirs', async () => {
  const [first] = [await session('127.0.0.2'), await session('127.0.0.2')]
  const silent = [await dial('127.0.0.2'), await dial('127.0.0.2')]
  const late = await dial('127.0.0.2')
  late.startup({ user: 'x' })
  expect(await late.hearsTheEnd()).toMatchObject([
    { fields: { C: '53300', M: 'too many connections from this address' } },
  ])
  const neighbour = await dial('127.0.0.3')
  neighbour.startup({ user: 'x' })
  await neighbour.hears('authenticationSASL')
  const { key } = first
  if (key === undefined) throw new Error('the session has no key')
  first.query('SELECT pg_sleep(60)')
  const cancel = await dial('127.0.0.2')
  cancel.socket.write(encodeCancelRequest(key.processId, key.secret))
  expect(sqlstates(await first.hears('readyForQuery'))).toEqual(['57014'])
  expect(await refusals('connections_per_address')).toBe(1)
  silent[0]?.close()
  await eventually(async () => {
    const again = await dial('127.0.0.2')
    again.startup({ user: 'x' })
    return (await again.hears('authenticationSASL').catch(() => [])).length > 0
  })
})

it('does not read on from an address that goes on and on', async () => {
  const connections: WireClient[] = []
  for (let at = 0; at < 12; at++) connections.push(await dial('127.0.0.4'))
  // Four may log in, four more may cancel: of the others nothing is read.
  await eventually(async () => (await refusals('connections_per_address')) >= 4)
  await eventually(() => Promise.resolve(connections.filter(({ ended }) => ended).length === 4))
})

it('has so many sessions of one grant, and as many again on another', async () => {
  await session('127.0.0.5')
  const last = await session('127.0.0.5')
  expect(await refusal('127.0.0.6')).toMatchObject([
    { type: 'authenticationSASLFinal' },
    { fields: { C: '53300', M: `too many sessions on the grant ${login.grantId}` } },
  ])
  expect(await refusals('sessions_per_grant')).toBe(1)
  const records = await warden.journal('login')
  expect(records.at(-1)).toMatchObject({ result: 'refused', reason: 'too_many_connections' })
  last.close()
  await eventually(async () => (await sessions()) === 1)
  await session('127.0.0.6')
})

it('has so many sessions of one principal, on whatever grant, also when they come at once', async () => {
  const other = await warden.login('read_only')
  const come = [login, login, other, other, other].map((by, at) => session(`127.0.1.${at}`, by))
  const came = await Promise.allSettled(come)
  expect(came.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
  expect(await refusal('127.0.0.7', other)).toMatchObject([
    { type: 'authenticationSASLFinal' },
    { fields: { C: '53300', M: `too many sessions of "${login.user}"` } },
  ])
  await session('127.0.0.7', await warden.login('read_only', { user: 'somebody' }))
})

it('looks at so many tokens of one address in a second', async () => {
  const stranger = { ...login, password: 'pgw_wrong' }
  const codes: (string | undefined)[] = []
  for (let at = 0; at < 12; at++) {
    codes.push(...sqlstates(await refusal('127.0.0.8', stranger)))
  }
  expect(new Set(codes)).toEqual(new Set(['28P01', '53400']))
  expect(codes.slice(0, perSecond)).not.toContain('53400')
  expect(await refusals('logins_per_second')).toBe(codes.filter((code) => code === '53400').length)
  await session('127.0.0.9')
})

it('counts the statements that are too long', async () => {
  const client = await session('127.0.0.10')
  for (const length of [1_100, 200_000]) {
    client.query(`SELECT '${'x'.repeat(length)}'`)
    expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['54000'])
  }
  client.query('SELECT nothing FROM')
  expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['42601'])
  expect(await refusals('statement_bytes')).toBe(2)
})

it('ends a session when its time is over, outside a transaction', async () => {
  const brief = await warden.login('brief')
  const client = await session('127.0.0.11', brief)
  expect(await client.hearsTheEnd(3_000)).toMatchObject([
    { fields: { S: 'FATAL', C: '57P01', M: 'terminating connection due to session timeout' } },
  ])
  const busy = await session('127.0.0.11', brief)
  busy.query('BEGIN')
  await busy.hears('readyForQuery')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  busy.query('COMMIT')
  expect(sqlstates(await busy.hears('readyForQuery'))).toEqual([])
  expect(sqlstates(await busy.hearsTheEnd(1_000))).toEqual(['57P01'])
  expect(await refusals('session')).toBe(2)
})
