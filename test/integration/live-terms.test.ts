// The configuration is replaced while clients are connected, and while they log in.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shortest } from '../../src/policy/permissions.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { parseLine } from '../support/memory-journal.ts'
import { bind, execute, parse, sync } from '../support/scripted-session.ts'
import { ToyHouse } from '../support/toy-house.ts'
import type { WireClient } from '../support/wire-client.ts'

const writes = { commands: ['SELECT', 'INSERT'] }
const reads = { commands: ['SELECT'] }

let house: ToyHouse

beforeAll(async () => {
  await loadParser()
  house = await ToyHouse.open(writes)
})

afterAll(() => house.close())

const refused = (messages: readonly BackendMessage[]): BackendMessage | undefined =>
  messages.find(({ type }) => type === 'errorResponse')

async function answerTo(client: WireClient, text: string): Promise<BackendMessage | undefined> {
  client.query(text)
  return refused(await client.hears('readyForQuery'))
}

describe('a live session', () => {
  it('obeys a configuration that denies more at its next statement, and one that allows it again', async () => {
    house.replace(writes)
    const client = await house.logsIn()
    client.says(parse('INSERT INTO t VALUES (1)', 's'), sync)
    await client.hears('readyForQuery')
    expect(await answerTo(client, 'INSERT INTO t VALUES (1)')).toBeUndefined()
    house.replace(reads)
    const denied = { fields: { C: '42501' } }
    expect(await answerTo(client, 'INSERT INTO t VALUES (1)')).toMatchObject(denied)
    client.says(bind('s'), execute(), sync)
    expect(refused(await client.hears('readyForQuery'))).toMatchObject(denied)
    expect(await answerTo(client, 'SELECT 1')).toBeUndefined()
    house.replace(writes)
    client.says(bind('s'), execute(), sync)
    expect(refused(await client.hears('readyForQuery'))).toBeUndefined()
    client.close()
  })

  it('that has what it would not get any more ends before it says anything', async () => {
    house.replace(writes)
    const client = await house.logsIn()
    house.replace({ ...reads, readOnly: true })
    expect(house.sessions).toBe(0)
    const [farewell] = await client.hearsTheEnd()
    expect(farewell).toMatchObject({
      fields: { S: 'FATAL', C: '57P01', D: 'Its role is read-only now.' },
    })
    client.close()
  })

  it('ends at once by a time limit that it is past, and has been given just now', async () => {
    house.replace(writes)
    const client = await house.logsIn()
    house.replace(writes, { limits: { ...shortest([]), idleMs: 0 } })
    expect(house.sessions).toBe(0)
    expect(await client.hearsTheEnd()).toMatchObject([{ fields: { S: 'FATAL', C: '57P05' } }])
    client.close()
  })
})

describe('a login', () => {
  /** It has begun when this happens, and goes on behind it. */
  async function meanwhile(happens: () => void): Promise<WireClient> {
    let go: () => void = () => undefined
    let began: () => void = () => undefined
    const begun = new Promise<void>((resolve) => (began = resolve))
    const held = new Promise<void>((resolve) => (go = resolve))
    house.connecting = () => {
      began()
      return held
    }
    const client = await house.knocks()
    await begun
    happens()
    go()
    house.connecting = () => Promise.resolve()
    return client
  }

  it('opens no session that the configuration of the moment would not open', async () => {
    house.replace(writes)
    const client = await meanwhile(() => house.replace(writes, { clientCertificate: 'required' }))
    expect(await client.hearsTheEnd()).toMatchObject([{ fields: { S: 'FATAL', C: '57P01' } }])
    client.close()
    const last = parseLine(house.storage.lines.at(-1) ?? '')
    expect(last).toMatchObject({
      type: 'session.end',
      reason: expect.stringContaining("change of pgwarden's configuration") as unknown,
    })
  })

  it('opens one that is judged by the configuration of the moment', async () => {
    house.replace(writes)
    const client = await meanwhile(() => house.replace(reads))
    await client.hears('readyForQuery')
    expect(await answerTo(client, 'INSERT INTO t VALUES (1)')).toMatchObject({
      fields: { C: '42501' },
    })
    client.close()
  })
})
