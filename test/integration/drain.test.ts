// What becomes of sessions, of logins on their way and of the control plane while pgwarden is stopping.

import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { encodeCancelRequest } from '../../src/wire/startup.ts'
import { eventually } from '../support/eventually.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden
const open: WireClient[] = []

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    schema: 'CREATE TABLE items (n int)',
    sections: ['shutdown: { drainTimeout: 2s, delay: 0s }'],
  })
  await warden.halt()
})
beforeEach(() => warden.serve(false))
afterEach(async () => {
  for (const client of open.splice(0)) client.close()
  await warden.halt()
})
afterAll(() => warden.stop())

async function logIn(): Promise<WireClient> {
  const client = await WireClient.logIn(warden.port, await warden.login('read_full_write'))
  open.push(client)
  return client
}

/** Asks it to stop, and resolves when it accepts nothing more. */
async function closing(): Promise<{ readonly stopped: Promise<unknown> }> {
  const stopped = warden.drain()
  await eventually(async () => !(await accepts()))
  return { stopped }
}

async function accepts(): Promise<boolean> {
  const socket = net.connect(warden.port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

function fatal(heard: readonly BackendMessage[]): string | undefined {
  const last = heard.at(-1)
  return last?.type === 'errorResponse' && last.fields['S'] === 'FATAL'
    ? last.fields['C']
    : undefined
}

async function get(path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(new URL(path, warden.apiUrl))
  return { status: response.status, text: await response.text() }
}

async function itemsThere(): Promise<number> {
  return warden.asSuperuser(
    async (su) => (await su.query('SELECT FROM items')).rowCount ?? Number.NaN,
  )
}

describe('a pgwarden that is told to stop', () => {
  it('tells an idle client at once, and one in a transaction when it has committed', async () => {
    const [idle, busy] = [await logIn(), await logIn()]
    const before = await itemsThere()
    busy.query('BEGIN')
    await busy.hears('readyForQuery')
    const { stopped } = await closing()
    expect(fatal(await idle.hearsTheEnd())).toBe('57P01')
    busy.query('INSERT INTO items VALUES (1)')
    await busy.hears('readyForQuery')
    // In one go with what is not to run any more.
    const query = (text: string) => ({ type: 'query', text: Buffer.from(text) }) as const
    busy.says(query('COMMIT'), query('INSERT INTO items VALUES (2)'))
    await busy.hears('readyForQuery')
    expect(fatal(await busy.hearsTheEnd())).toBe('57P01')
    await stopped
    expect(await itemsThere()).toBe(before + 1)
  })

  it('lets a statement run to its end, and tells its answer before anything else', async () => {
    const client = await logIn()
    client.query('SELECT pg_sleep(0.8), 42')
    const { stopped } = await closing()
    const heard = await client.hearsTheEnd()
    expect(heard.map(({ type }) => type)).toEqual([
      'rowDescription',
      'dataRow',
      'commandComplete',
      'readyForQuery',
      'errorResponse',
    ])
    expect(fatal(heard)).toBe('57P01')
    await stopped
  })

  it('cancels what still runs at drainTimeout, and says so', async () => {
    const client = await logIn()
    client.query('BEGIN; SELECT pg_sleep(60)')
    const { stopped } = await closing()
    const heard = await client.hearsTheEnd()
    expect(fatal(heard)).toBe('57P01')
    expect(JSON.stringify(heard.at(-1))).toContain('has been canceled')
    await stopped
    await eventually(async () => {
      const { rowCount } = await warden.asSuperuser((su) =>
        su.query(`SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
                    AND pid <> pg_backend_pid() AND state <> 'idle'`),
      )
      return rowCount === 0
    })
  })

  it('ends everything at once, in order, when it is told again', async () => {
    const client = await logIn()
    client.query('BEGIN; SELECT pg_sleep(60)')
    await closing()
    const startedAt = Date.now()
    const halted = warden.halt()
    expect(fatal(await client.hearsTheEnd())).toBe('57P01')
    expect(Date.now() - startedAt).toBeLessThan(1_500)
    client.close()
    await halted
    const [allowed, outcomes] = [await warden.journal('statement'), await warden.journal('outcome')]
    const ended = new Set(outcomes.map((record) => record['statement']))
    for (const { id, decision } of allowed) if (decision === 'allow') expect(ended).toContain(id)
    expect((await warden.journal()).at(-1)).toMatchObject({ type: 'journal.close' })
  })

  it('says first that it is not ready, and lets clients in until the delay is over', async () => {
    await warden.halt()
    const configuration = await readFile(warden.configFile, 'utf8')
    await writeFile(warden.configFile, configuration.replace('delay: 0s', 'delay: 1500ms'))
    await warden.serve(false)
    await writeFile(warden.configFile, configuration)
    const client = await logIn()
    client.query('BEGIN')
    const stopped = warden.drain()
    await eventually(async () => (await get('/readyz')).status === 503)
    const late = await logIn()
    late.query('SELECT 1')
    await late.hears('readyForQuery')
    expect(JSON.parse((await get('/readyz')).text)).toEqual({
      ready: false,
      checks: { store: 'ok', journal: 'ok', listener: 'draining' },
    })
    expect((await get('/healthz')).status).toBe(200)
    expect((await get('/metrics')).text).toContain('\npgwarden_draining 1\n')
    expect(fatal(await late.hearsTheEnd())).toBe('57P01')
    client.query('COMMIT')
    await client.hearsTheEnd()
    await stopped
  })

  it('turns away who is half in: 57P03', async () => {
    const silent = await WireClient.dial(warden.port)
    const asked = await WireClient.dial(warden.port)
    const { user, password } = await warden.login('read_only')
    asked.startup({ user, database: 'shop' })
    await asked.hears('authenticationSASL')
    const waiting = await WireClient.dial(warden.port)
    waiting.startup({ user, database: 'shop' })
    const { stopped } = await closing()
    // Its packet was on its way: said before, an error would not have been understood.
    silent.startup({ user, database: 'shop' })
    await asked.proves(password).catch(() => undefined)
    for (const client of [silent, asked, waiting]) {
      expect(fatal(await client.hearsTheEnd())).toBe('57P03')
    }
    await stopped
  })

  it('still hears that a grant is revoked', async () => {
    const { user, password, grantId } = await warden.login('read_only')
    const client = await WireClient.logIn(warden.port, { user, password })
    client.query('BEGIN; SELECT pg_sleep(60)')
    const { stopped } = await closing()
    await operations.revokeGrant({
      configFile: warden.configFile,
      grantId,
      reason: 'test',
      waitMs: 5_000,
      onWaiting: () => undefined,
    })
    const last = (await client.hearsTheEnd()).at(-1)
    expect(JSON.stringify(last)).toContain('revoked')
    await stopped
  })

  it('still cancels what a client of another process asks it to', async () => {
    const other = await Warden.start(inject('adminUrl'), { beside: warden })
    try {
      const client = await logIn()
      // Until each has heard of the other.
      await sleep(300)
      client.query('BEGIN; SELECT pg_sleep(60)')
      const { stopped } = await closing()
      const asking = await WireClient.dial(other.port)
      if (client.key === undefined) throw new Error('no key')
      asking.socket.write(encodeCancelRequest(client.key.processId, client.key.secret))
      await asking.hearsTheEnd()
      const heard = await client.hears('readyForQuery')
      expect(JSON.stringify(heard)).toContain('57014')
      client.query('ROLLBACK')
      expect(fatal(await client.hearsTheEnd())).toBe('57P01')
      await stopped
    } finally {
      await other.stop()
    }
  })
})
