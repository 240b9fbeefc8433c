// Sessions of two proxies on one store: seen there, ended from there, gone with a process that dies.

import { once } from 'node:events'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { tellOnce } from '../../src/store/notices.ts'
import { Store } from '../../src/store/store.ts'
import { eventually } from '../support/eventually.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')

let warden: Warden
let other: Warden
let store: Store

beforeAll(async () => {
  warden = await Warden.start(adminUrl)
  other = await Warden.start(adminUrl, { beside: warden })
  store = await Store.open({ url: new Secret(warden.storeUrl), onProblem: () => undefined })
})

afterAll(async () => {
  await store.close()
  await other.stop()
  await warden.stop()
})

async function session(login: Awaited<ReturnType<Warden['login']>>, through: Warden) {
  const client = new Client({ ...login, port: through.port, application_name: 'a test' })
  client.on('error', () => undefined)
  const ended = once(client, 'error')
  await client.connect()
  return { client, ended }
}

const sentence = 'terminating connection because this session was ended by an operator'

describe('the sessions of all proxies', () => {
  it('are in the store while they are open, and end when somebody says so, or only writes it down', async () => {
    const login = await warden.login('read_only', { user: 'seen' })
    const [here, there] = [await session(login, warden), await session(login, other)]
    const open = (): Promise<readonly { readonly id: string }[]> =>
      store.listSessions({ principal: 'seen' }, 10)
    await eventually(async () => (await open()).length === 2)
    const [newest, oldest] = await open()
    expect(newest).toMatchObject({
      grantId: login.grantId,
      target: 'shop',
      role: 'read_only',
      application: 'a test',
      client: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as unknown,
    })
    await tellOnce(new Secret(warden.storeUrl), 'session.end', { session: newest?.id ?? '' })
    expect(await there.ended).toMatchObject([{ code: '57P01', message: sentence }])
    await eventually(async () => (await open()).length === 1, 1_000)
    await store.askToEnd(oldest?.id ?? '')
    expect(await here.ended).toMatchObject([{ code: '57P01', message: sentence }])
    await eventually(async () => (await open()).length === 0, 1_000)
  })

  it('of a process that is silent are not listed, and dropped by the next that writes', async () => {
    const dead = {
      ...{ id: 'dead', grantId: 'g', principal: 'ghost', target: 'shop', role: 'read_only' },
      ...{ client: '192.0.2.1:1', application: undefined, startedAt: Date.now() },
    }
    const batch = { instance: 'dead', opened: [dead], closed: [] }
    expect(await store.writeSessions(batch)).toEqual({ fresh: true, toEnd: [] })
    expect(await store.writeSessions(batch)).toEqual({ fresh: false, toEnd: [] })
    expect(await store.listSessions({ grantId: 'g' }, 10)).toHaveLength(1)
    await warden.inStore((client) =>
      client.query(
        "update pgwarden.proxies set seen_at = now() - interval '61 s' where instance = 'dead'",
      ),
    )
    expect(await store.listSessions({ id: 'dead' }, 10)).toEqual([])
    await store.writeSessions({ instance: 'alive', opened: [], closed: [] })
    const { rowCount } = await warden.inStore((client) =>
      client.query("select from pgwarden.sessions where id = 'dead'"),
    )
    expect(rowCount).toBe(0)
  })
})
