// How sessions end: whoever goes first, the other hears of it, nothing runs on, and the audit is complete.

import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'

import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { encodeSslRequest } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { Between } from '../support/between.ts'
import { certify } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { type JournalRecord, Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden
const open: WireClient[] = []

beforeAll(async () => {
  const server = await certify('localhost')
  warden = await Warden.start(inject('adminUrl'), {
    files: { 'server.crt': server.certificate, 'server.key': server.key },
    listen: ['tls: { certificate: server.crt, key: server.key }'],
    schema: 'CREATE TABLE items (n int)',
  })
})
afterEach(() => {
  for (const client of open.splice(0)) client.close()
})
afterAll(() => warden.stop())

async function logIn(on: Warden = warden, role = 'read_full_write'): Promise<WireClient> {
  const client = await WireClient.logIn(on.port, await on.login(role))
  open.push(client)
  return client
}

/** Backends of this database that run, or sit in a transaction after, a text with this in it. */
async function backends(mark: string): Promise<number> {
  const { rowCount } = await warden.asSuperuser((su) =>
    su.query(
      `select from pg_stat_activity where query like $1 and pid <> pg_backend_pid()
          and datname = current_database()`,
      [`%${mark}%`],
    ),
  )
  return rowCount ?? 0
}

async function countOf(table: string): Promise<number> {
  const { rows } = await warden.asSuperuser((su) =>
    su.query<{ count: string }>(`select count(*) from ${table}`),
  )
  return Number(rows[0]?.count)
}

/** The end of the session, once it is recorded; every statement of it must have its outcome by then. */
async function endOf(
  client: WireClient,
  on: Warden = warden,
  limitMs = 15_000,
): Promise<JournalRecord> {
  const address = `127.0.0.1:${client.localPort}`
  const of = async (type: string): Promise<readonly JournalRecord[]> =>
    (await on.journal(type)).filter((record) => record['client'] === address)
  await eventually(async () => (await of('session.end')).length === 1, limitMs)
  const outcomes = new Set((await on.journal('outcome')).map((record) => record['statement']))
  for (const statement of await of('statement')) {
    if (statement['decision'] === 'allow') expect(outcomes).toContain(statement['id'])
  }
  const [end] = await of('session.end')
  if (end === undefined) throw new Error('there was an end')
  return end
}

describe('a client that says everything at once', () => {
  it('login, statement and FIN, gets its answer', async () => {
    const { user, password } = await warden.login('read_only')
    const client = await WireClient.dial(warden.port)
    open.push(client)
    client.startup({ user, database: 'shop' })
    await client.proves(
      password,
      encodeFrontend({ type: 'query', text: Buffer.from("SELECT 'at once' FROM pg_sleep(1)") }),
    )
    client.socket.end()
    const tags = (await client.hearsTheEnd()).filter(({ type }) => type === 'commandComplete')
    expect(tags).toEqual([{ type: 'commandComplete', tag: 'SELECT 1' }])
  })
})

describe('a client that says Terminate', () => {
  it('hears the whole answer to what it asked before, however long that takes', async () => {
    const client = await logIn()
    client.says(
      { type: 'query', text: Buffer.from("SELECT 'done' FROM pg_sleep(6)") },
      { type: 'terminate' },
    )
    const heard = await client.hearsTheEnd()
    expect(heard).toContainEqual({ type: 'dataRow', values: [Buffer.from('done')] })
    expect(await endOf(client)).toMatchObject({ reason: 'client_terminated' })
  })

  it('and is gone at once has what it asked before done all the same', async () => {
    const client = await logIn()
    const before = await countOf('items')
    client.says(
      { type: 'query', text: Buffer.from('INSERT INTO items SELECT 1 FROM pg_sleep(1)') },
      { type: 'terminate' },
    )
    await sleep(100)
    client.close()
    expect(await endOf(client)).toMatchObject({ reason: 'client_terminated' })
    expect(await countOf('items')).toBe(before + 1)
  })
})

describe('a client that shuts its side down', () => {
  it('hears the whole answer to what it asked before, however long that takes', async () => {
    const client = await logIn()
    client.query("SELECT repeat('x', 3000000), 'done' FROM pg_sleep(5)")
    client.socket.end()
    const heard = await client.hearsTheEnd()
    expect(heard.filter(({ type }) => type === 'dataRow')).toHaveLength(1)
    expect(heard.at(-1)).toEqual({ type: 'readyForQuery', status: 'I' })
    expect(sqlstates(heard)).toEqual([])
    expect(await endOf(client)).toMatchObject({ reason: 'client_gone' })
  })

  it('does so inside TLS too', async () => {
    const raw = await WireClient.dial(warden.port)
    raw.socket.removeAllListeners('data')
    raw.socket.write(encodeSslRequest())
    await new Promise((resolve) => raw.socket.once('data', resolve))
    const socket = connectTls({
      socket: raw.socket,
      rejectUnauthorized: false,
    })
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    const client = WireClient.over(socket)
    open.push(client)
    const { user, password } = await warden.login('read_only')
    client.startup({ user, database: 'shop' })
    await client.proves(password)
    await client.hears('readyForQuery')
    client.query("SELECT 'done' FROM pg_sleep(3)")
    socket.end()
    expect(await client.hearsTheEnd()).toContainEqual({
      type: 'dataRow',
      values: [Buffer.from('done')],
    })
  })

  it('in the middle of a pipeline is let go as PostgreSQL lets it go: there will be no Sync', async () => {
    const client = await logIn()
    client.says(
      {
        type: 'parse',
        name: '',
        text: Buffer.from('SELECT 1 /* no sync */'),
        parameterTypes: [],
      },
      {
        type: 'bind',
        portal: '',
        statement: '',
        parameterFormats: [],
        parameters: [],
        resultFormats: [],
      },
      { type: 'execute', portal: '', maxRows: 0 },
    )
    client.socket.end()
    expect(sqlstates(await client.hearsTheEnd())).toEqual([])
    expect(await endOf(client)).toMatchObject({ reason: 'client_gone' })
    await eventually(async () => (await backends('no sync')) === 0)
  })
})

describe('a client that is gone', () => {
  it.each([
    ['closed', false],
    ['reset', true],
  ])('(%s) leaves no statement running', async (how, reset) => {
    const client = await logIn()
    client.query(`SELECT pg_sleep(300) /* ${how} */`)
    await eventually(async () => (await backends(`/* ${how} */`)) === 1)
    if (reset) client.socket.resetAndDestroy()
    else client.socket.destroy()
    await eventually(async () => (await backends(`/* ${how} */`)) === 0)
    expect(await endOf(client)).toMatchObject({ reason: 'client_gone' })
  })

  it('leaves no transaction open', async () => {
    const client = await logIn()
    client.query('BEGIN; INSERT INTO items VALUES (2) /* open */')
    await client.hears('readyForQuery')
    const before = await countOf('items')
    client.socket.destroy()
    await eventually(async () => (await backends('/* open */')) === 0)
    expect(await countOf('items')).toBe(before)
  })

  it('in the middle of COPY leaves no row of it', async () => {
    const before = await countOf('items')
    for (const leave of ['destroy', 'end'] as const) {
      const client = await logIn()
      client.query('COPY items FROM STDIN /* copy */')
      await client.hears('copyInResponse')
      client.says({ type: 'copyData', data: Buffer.from('1\n2\n3\n') })
      await sleep(50)
      client.socket[leave]()
      await eventually(async () => (await backends('/* copy */')) === 0, 3_000)
      expect(await endOf(client)).toMatchObject({ reason: 'client_gone' })
    }
    expect(await countOf('items')).toBe(before)
  })
})

describe('when the server ends the session', () => {
  it('what it said before comes first, then one FATAL of ours and no more', async () => {
    const between = await Between.start(inject('adminUrl'))
    const behind = await Warden.start(inject('adminUrl'), { targetPort: between.port })
    const client = await logIn(behind, 'read_only')
    client.socket.pause()
    client.query("SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    await sleep(300)
    client.query('SELECT pg_sleep(300)')
    await sleep(300)
    between.pairs.at(-1)?.client.end()
    await sleep(300)
    client.socket.resume()
    const heard = await client.hearsTheEnd()
    expect(heard.filter(({ type }) => type === 'dataRow')).toHaveLength(5_000)
    expect(sqlstates(heard)).toEqual(['08006'])
    expect(heard.at(-1)).toMatchObject({ fields: { S: 'FATAL' } })
    expect(await endOf(client, behind)).toMatchObject({
      reason: expect.stringContaining('upstream_gone') as unknown,
    })
    await behind.stop()
    await between.stop()
  })

  it('in the middle of a message, nothing is put behind the half of it', async () => {
    const between = await Between.start(inject('adminUrl'))
    const behind = await Warden.start(inject('adminUrl'), { targetPort: between.port })
    const client = await logIn(behind, 'read_only')
    between.fromTarget = (chunk, to) => {
      const at = chunk.indexOf('D', 0, 'latin1')
      if (chunk.length > 1_000) to.end(chunk.subarray(0, at + 1_000))
      else to.write(chunk)
    }
    const bytes: Buffer[] = []
    client.socket.removeAllListeners('data')
    client.socket.on('data', (chunk: Buffer) => bytes.push(chunk))
    client.query("SELECT repeat('y', 1000000)")
    await client.hearsTheEnd()
    const heard = Buffer.concat(bytes)
    expect(heard.includes('yyy')).toBe(true)
    expect(heard.includes('FATAL')).toBe(false)
    await behind.stop()
    await between.stop()
  })

  it('in the middle of a message, and falls silent, does not keep the session of a client that has left', async () => {
    const between = await Between.start(inject('adminUrl'))
    const behind = await Warden.start(inject('adminUrl'), { targetPort: between.port })
    const client = await logIn(behind, 'read_only')
    const session = between.pairs.at(-1)?.client
    let begun = false
    between.fromTarget = (chunk, to) => {
      if (to !== session) to.write(chunk)
      else if (!begun) to.write(chunk.subarray(0, 1_000))
      begun ||= to === session
    }
    client.query("SELECT repeat('y', 1000000)")
    // It waits for the first one's answer, so the client's FIN cannot be passed on behind it.
    client.query("SELECT E'\\\\'")
    await sleep(300)
    client.socket.end()
    expect(await endOf(client, behind, 30_000)).toMatchObject({ reason: 'client_gone' })
    await behind.stop()
    await between.stop()
  }, 45_000)

  it('in the middle of its own error, which nobody has heard, ours says that it is gone', async () => {
    const between = await Between.start(inject('adminUrl'))
    const behind = await Warden.start(inject('adminUrl'), { targetPort: between.port })
    const client = await logIn(behind, 'read_only')
    between.fromTarget = (chunk, to) => void to.end(chunk.subarray(0, 30))
    client.query('SELECT 1/0')
    expect(sqlstates(await client.hearsTheEnd())).toEqual(['08006'])
    await behind.stop()
    await between.stop()
  })

  it('with a FATAL of its own, that one is passed on as it is, and no other', async () => {
    const client = await logIn()
    client.query('SELECT pg_sleep(300)')
    await sleep(100)
    await warden.asSuperuser((su) =>
      su.query('select pg_terminate_backend($1)', [client.key?.processId]),
    )
    const heard = await client.hearsTheEnd()
    expect(sqlstates(heard)).toEqual(['57P01'])
    expect(heard.at(-1)).toMatchObject({ fields: { R: 'ProcessInterrupts' } })
  })
})

describe('a client that does not read', () => {
  it('holds its session, and its socket, no longer than a few seconds after the end', async () => {
    const login = await warden.login('read_only', { forMs: 2_000 })
    const client = await WireClient.logIn(warden.port, login)
    open.push(client)
    client.socket.pause()
    client.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000) /* unread */")
    await eventually(async () => (await backends('/* unread */')) === 1)
    expect(await endOf(client)).toMatchObject({
      reason: expect.stringContaining('grant has ended') as unknown,
    })
    await eventually(async () => (await backends('/* unread */')) === 0)
    await sleep(6_000)
    client.socket.resume()
    await client.hearsTheEnd(2_000)
  })
})

describe('time limits', () => {
  let limited: Warden
  beforeAll(async () => {
    limited = await Warden.start(inject('adminUrl'), {
      schema: 'CREATE TABLE items (n int)',
      limits: ['idleTimeout: 2s', 'idleInTransactionTimeout: 30s', 'transactionTimeout: off'],
      shop: ['limits: { idleInTransactionTimeout: 2s, transactionTimeout: 5s }'],
      sections: [
        'roles:',
        '  patient: { includes: [read_only], sessions: { idleTimeout: 30s } }',
        '  hasty: { includes: [patient], sessions: { idleTimeout: 1s } }',
      ],
      moreRoles: ['hasty'],
    })
  })
  afterAll(() => limited.stop())

  /** What ends the session, and after how long. */
  async function ending(
    client: WireClient,
  ): Promise<{ readonly codes: readonly string[]; readonly ms: number; readonly text: unknown }> {
    const startedAt = performance.now()
    const heard = await client.hearsTheEnd()
    const last = heard.at(-1)
    const text = last?.type === 'errorResponse' ? last.fields['M'] : undefined
    return { codes: sqlstates(heard), ms: performance.now() - startedAt, text }
  }

  it('end a session that does nothing', async () => {
    const { codes, ms, text } = await ending(await logIn(limited))
    expect(codes).toEqual(['57P05'])
    expect(text).toBe('terminating connection due to idle-session timeout')
    expect(ms).toBeGreaterThan(1_500)
    expect(ms).toBeLessThan(5_000)
  })

  it('end a session of a role that may do nothing for less long still', async () => {
    const { codes, ms } = await ending(await logIn(limited, 'hasty'))
    expect(codes).toEqual(['57P05'])
    expect(ms).toBeLessThan(1_900)
  })

  it('end a session that listens for notifications only, as one that does nothing', async () => {
    const client = await logIn(limited, 'admin')
    client.query('LISTEN news')
    await client.hears('readyForQuery')
    expect((await ending(client)).codes).toEqual(['57P05'])
  })

  it('end a session that sits in a transaction', async () => {
    const client = await logIn(limited)
    client.query('BEGIN; INSERT INTO items VALUES (1)')
    await client.hears('readyForQuery')
    const { codes, text } = await ending(client)
    expect(codes).toEqual(['25P03'])
    expect(text).toBe('terminating connection due to idle-in-transaction timeout')
  })

  it('end a transaction that takes too long, and what runs in it', async () => {
    const client = await logIn(limited)
    client.query('BEGIN')
    await client.hears('readyForQuery')
    client.query('SELECT pg_sleep(300) /* too long */')
    const { codes, text } = await ending(client)
    expect(codes).toEqual(['25P04'])
    expect(text).toBe('terminating connection due to transaction timeout')
    const running = async (): Promise<boolean> => {
      const { rowCount } = await limited.asSuperuser((su) =>
        su.query(
          "select from pg_stat_activity where query like '%/* too long */' and datname = current_database()",
        ),
      )
      return rowCount === 0
    }
    await eventually(running)
    expect((await limited.journal('outcome')).at(-1)).toMatchObject({ result: 'unknown' })
  })

  it('leave alone who works, who sends COPY data now and then, and who is slow to read it', async () => {
    const [busy, copying, reading] = await Promise.all([
      logIn(limited),
      logIn(limited),
      logIn(limited),
    ])
    reading.query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT")
    await reading.hears('copyOutResponse')
    reading.socket.pause()
    copying.query('COPY items FROM STDIN')
    await copying.hears('copyInResponse')
    for (let n = 0; n < 6; n++) {
      await sleep(600)
      busy.query('SELECT 1')
      expect(sqlstates(await busy.hears('readyForQuery'))).toEqual([])
    }
    reading.socket.resume()
    expect(sqlstates(await reading.hears('readyForQuery'))).toEqual([])
    copying.says({ type: 'copyDone' })
    expect(await copying.hears('readyForQuery')).toContainEqual({
      type: 'commandComplete',
      tag: 'COPY 0',
    })
  })
})
