// How a grant comes to its end on live sessions, and how it goes on instead: two proxies on one store, and
// a real PostgreSQL.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Secret } from '../../src/secret.ts'
import { tellOnce } from '../../src/store/notices.ts'
import { runs } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')

let warden: Warden
let other: Warden

beforeAll(async () => {
  warden = await Warden.start(adminUrl)
  other = await Warden.start(adminUrl, { beside: warden })
})

afterAll(async () => {
  await other.stop()
  await warden.stop()
})

type Login = Awaited<ReturnType<Warden['login']>>

async function session(login: Login, through: Warden) {
  const client = new Client({ ...login, port: through.port })
  const notices: string[] = []
  client.on('error', () => undefined)
  client.on('notice', ({ message }) => notices.push(message ?? ''))
  await client.connect()
  return { client, notices }
}

/** What a long statement ends with, and when. */
async function cut({ client }: { readonly client: Client }) {
  const error: unknown = await client
    .query('select pg_sleep(30) /* long */')
    .catch((why: unknown) => why)
  return { error, at: systemClock.now() }
}

/** As the control plane does it; `told`: the other processes hear of it. */
async function extend({ grantId }: Login, byMs: number, told: boolean): Promise<number> {
  const { rows } = await warden.inStore((store) =>
    store.query<{ ends_at: Date }>(
      `update pgwarden.grants set ends_at = ends_at + $2 * interval '1 ms' where id = $1
       returning ends_at`,
      [grantId, byMs],
    ),
  )
  if (told) await tellOnce(new Secret(warden.storeUrl), 'grant.extended', { grant: grantId })
  return rows[0]?.ends_at.getTime() ?? 0
}

it('a session goes on past its first end when the grant is extended, and ends at the second within a second', async () => {
  const login = await warden.login('read_only', { user: 'extended', forMs: 2_500 })
  const sessions = [await session(login, warden), await session(login, other)]
  const endsAt = await extend(login, 2_000, true)
  const running = sessions.map(cut)
  await eventually(async () => systemClock.now() > endsAt - 1_500)
  // The role lets new sessions in as long as the grant lasts.
  await (await session(login, other)).client.end()
  for (const { error, at } of await Promise.all(running)) {
    expect(error).toMatchObject({
      code: '57P01',
      message: 'terminating connection because the grant has ended',
    })
    expect(at).toBeGreaterThanOrEqual(endsAt)
    expect(at).toBeLessThan(endsAt + 1_000)
  }
  // Of what ran on the server nothing is left.
  await eventually(async () => {
    const { rowCount } = await warden.asSuperuser((client) =>
      client.query(
        "select from pg_stat_activity where state = 'active' and query like '%/* long */%' and pid <> pg_backend_pid()",
      ),
    )
    return rowCount === 0
  }, 1_000)
})

it('a session is told that its grant ends soon, while a statement runs too', async () => {
  const login = await warden.login('read_only', { user: 'told', forMs: 200_000 })
  const { client, notices } = await session(login, warden)
  const slow = client.query('select pg_sleep(1) /* told */')
  await warden.asSuperuser(runs('select pg_sleep(1) /* told */'))
  await sleep(300)
  expect(notices).toEqual([
    expect.stringMatching(/^the grant of this session ends in [23] minutes$/),
  ])
  await slow
  expect(notices).toHaveLength(1)
  await client.end()
})
