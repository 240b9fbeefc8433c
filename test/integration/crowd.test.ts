// Strangers who take every place there is, and people who want to work.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import { encodeCancelRequest, encodeStartup } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const places = 4

let warden: Warden
let login: { readonly user: string; readonly password: string }
const open: WireClient[] = []

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { listen: [`maxConnections: ${places}`] })
  login = await warden.login('read_only')
})
afterAll(() => warden.stop())
afterEach(async () => {
  for (const client of open.splice(0)) client.close()
  await sleep(100)
})

async function dial(count: number): Promise<readonly WireClient[]> {
  const clients = []
  for (let at = 0; at < count; at++) clients.push(await WireClient.dial(warden.port))
  open.push(...clients)
  return clients
}

async function logIn(): Promise<WireClient> {
  const client = await WireClient.logIn(warden.port, login)
  open.push(client)
  return client
}

it('lets people in past connections that keep silent, the oldest of which go', async () => {
  const silent = await dial(places)
  await sleep(1_100)
  await logIn()
  await logIn()
  expect(silent.map(({ ended }) => ended)).toEqual([true, true, false, false])
})

it('tells somebody who began to log in and stopped why the place is lost', async () => {
  const slow = await dial(places)
  for (const { socket } of slow) socket.write(encodeStartup([['user', 'x']]).subarray(0, 6))
  await sleep(1_100)
  await logIn()
  expect(sqlstates((await slow[0]?.hearsTheEnd()) ?? [])).toEqual(['53300'])
})

it('cancels what runs in a full house', async () => {
  const sessions = []
  for (let at = 0; at < places; at++) sessions.push(await logIn())
  const [busy] = sessions
  busy?.query('SELECT pg_sleep(300)')
  await sleep(100)
  const [canceller] = await dial(1)
  const key = busy?.key
  if (key === undefined) throw new Error('the session has no key')
  canceller?.socket.write(encodeCancelRequest(key.processId, key.secret))
  expect(sqlstates((await busy?.hears('readyForQuery')) ?? [])).toEqual(['57014'])
  expect(await canceller?.hearsTheEnd()).toEqual([])
})

it('never ends a session for a newcomer, and lets the newcomer in when one has ended', async () => {
  const sessions = []
  for (let at = 0; at < places; at++) sessions.push(await logIn())
  await sleep(1_100)
  for (let at = 0; at < 3; at++) {
    const [late] = await dial(1)
    late?.startup({ user: 'x' })
    expect(sqlstates((await late?.hearsTheEnd()) ?? [])).toEqual(['53300'])
  }
  expect(sessions.some(({ ended }) => ended)).toBe(false)
  sessions[0]?.close()
  await sleep(100)
  await logIn()
})
