// A store that goes away: what goes on without it, what does not, and what is said of it.

import { once } from 'node:events'
import { connect } from 'node:net'
import { Client } from 'pg'
import { expect, inject, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { eventually } from '../support/eventually.ts'
import { join, listenWith } from '../support/forwarder.ts'
import { Warden } from '../support/warden.ts'

it('a lost store costs no session anything before its grant ends, and lets nobody in', async () => {
  const adminUrl = inject('adminUrl')
  const { hostname, port } = new URL(adminUrl)
  const way = await listenWith((client) => join(client, connect(Number(port || 5432), hostname)))
  const near = await Warden.start(adminUrl)
  const warden = await Warden.start(adminUrl, { beside: near, storePort: way.port })
  try {
    // Tokens are issued by way of the store that stays.
    const login = async (forMs: number) => ({
      ...(await near.login('read_only', { user: 'alice', forMs })),
      port: warden.port,
    })
    const waiting = await login(60_000)
    const begun = systemClock.now()
    const client = new Client(await login(6_000))
    client.on('error', () => undefined)
    const ended = once(client, 'error')
    await client.connect()
    await way.close()

    const ready = async () => fetch(`http://127.0.0.1:${warden.httpPort}/readyz`)
    await eventually(async () => (await ready()).status === 503)
    expect(await (await ready()).json()).toMatchObject({ ready: false })
    const refused = new Client(waiting)
    await expect(refused.connect()).rejects.toMatchObject({ code: '57P03' })
    expect((await client.query('select 1 as alive')).rows).toEqual([{ alive: 1 }])

    expect(await ended).toMatchObject([
      { code: '57P01', message: 'terminating connection because the grant has ended' },
    ])
    expect(systemClock.now() - begun).toBeGreaterThan(5_900)
  } finally {
    await warden.stop()
    await near.stop()
  }
}, 60_000)
