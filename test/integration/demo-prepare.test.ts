import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, type TargetConfig } from '../../src/config/config.ts'
import type { BrokerConfig } from '../../src/config/credentials.ts'
import { type DemoOptions, type PreparedDemo, prepareDemo } from '../../src/demo/demo.ts'
import { freePorts, occupyPort } from '../support/ports.ts'

const steps: string[] = []
let parent = ''
let directory = ''
let demo: PreparedDemo

const prepare = async (more: Partial<DemoOptions> = {}) => {
  const [port, httpPort] = await freePorts()
  return prepareDemo({
    directory,
    port,
    httpPort,
    reset: false,
    env: {},
    onStep: (step) => steps.push(step),
    ...more,
  })
}

/** The target of the configuration that was made, as `serve` reads it. */
async function shop(): Promise<TargetConfig> {
  const target = (await loadConfig(demo.configFile)).targets.get('shop')
  if (target === undefined) throw new Error('the demo has no target "shop"')
  return target
}

async function broker(): Promise<BrokerConfig> {
  const { credentials } = await shop()
  if (credentials.type !== 'broker') throw new Error('the demo has no broker')
  return credentials.broker
}

async function connected<T>(
  user: string,
  password: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { servers, database } = await shop()
  const [server] = servers
  const client = new Client({ host: server?.host, port: server?.port, database, user, password })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function asSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const { user, password } = await broker()
  return connected(user, password.reveal(), work)
}

const count = async (table: string) =>
  asSuperuser(async (client) => {
    const { rows } = await client.query<{ count: string }>(`select count(*) from ${table}`)
    return Number(rows[0]?.count)
  })

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'pgwarden-demo-'))
  // As mkdtemp makes it, it is closed to the account that runs PostgreSQL in place of root.
  await chmod(parent, 0o711)
  directory = join(parent, 'demo')
  demo = await prepare()
})

afterAll(async () => {
  await demo.stop()
  await rm(parent, { recursive: true, force: true })
})

describe('the sample database', () => {
  it('has a few thousand orders of the last two years, up to today', async () => {
    expect(await count('orders')).toBe(3000)
    expect(await count('order_items')).toBeGreaterThan(5000)
    expect(await count('orders where ordered_at > now()')).toBe(0)
    expect(await count(`orders where ordered_at > now() - interval '2 days'`)).toBeGreaterThan(0)
    expect(await count(`orders where ordered_at < now() - interval '731 days'`)).toBe(0)
    expect(await count('orders where shipped_at < ordered_at or shipped_at > now()')).toBe(0)
  })

  it('has customers who were there before their first order', async () => {
    const early = 'orders o join customers c on c.id = o.customer_id where ordered_at < created_at'
    expect(await count(early)).toBe(0)
  })

  it('continues its numbers where the sample rows end', async () => {
    const added = await asSuperuser((client) =>
      client.query(
        `insert into customers (full_name, email, city, country)
         values ('New', 'new@example.com', 'Leeds', 'United Kingdom') returning id`,
      ),
    )
    expect(added.rows).toEqual([{ id: 601 }])
  })

  it('can be taken up again by the next demo, with what was changed', async () => {
    await demo.stop()
    steps.length = 0
    demo = await prepare()
    expect(await count('customers')).toBe(601)
    expect(steps).toEqual(['Starting PostgreSQL'])
  })
})

describe('the rights that each role is given in PostgreSQL', () => {
  const statements = {
    select: 'select count(*) from order_totals',
    insert: `insert into products (name, category, price) values ('Test', 'Office', 1)`,
    ddl: 'create table notes (id int); alter table orders add column note text',
    role: 'create role reporting; grant select on orders to reporting; grant shop_owner to reporting',
  }
  const allowed: Readonly<Record<string, readonly string[]>> = {
    read_only: ['select'],
    read_limited_write: ['select', 'insert'],
    read_full_write: ['select', 'insert', 'ddl'],
    admin: ['select', 'insert', 'ddl', 'role'],
  }

  it.each(Object.keys(allowed))('%s can do what the policy allows, and no more', async (role) => {
    const creation = (await broker()).creation.get(role) ?? []
    await asSuperuser(async (client) => {
      await client.query(`create role probe login password 'probe'`)
      for (const sql of creation) await client.query(sql.replaceAll('{{name}}', 'probe'))
    })
    const can = await connected('probe', 'probe', async (client) => {
      const done: string[] = []
      for (const [name, sql] of Object.entries(statements)) {
        await client.query('begin')
        const ran = await client.query(sql).catch(() => undefined)
        if (ran !== undefined) done.push(name)
        await client.query('rollback')
      }
      return done
    })
    await asSuperuser((client) => client.query('drop owned by probe; drop role probe'))
    expect(can).toEqual(allowed[role])
  })
})

describe('the directory', () => {
  it('keeps its secrets from other accounts', async () => {
    for (const name of ['superuser-password', 'store-url', 'server.log', 'data']) {
      expect((await stat(join(directory, name))).mode & 0o077).toBe(0)
    }
    expect(await readFile(demo.configFile, 'utf8')).not.toContain('postgres://')
  })

  it('is not shared by two demos', { timeout: 20_000 }, async () => {
    await expect(prepare()).rejects.toThrow(/already runs on this data directory/)
  })

  it('is never one that holds files of somebody else, with --reset or without', async () => {
    const other = join(parent, 'documents')
    await mkdir(other)
    await writeFile(join(other, 'thesis.txt'), 'two years of work')
    await expect(prepare({ directory: other })).rejects.toThrow(/files that the demo did not make/)
    await expect(prepare({ directory: other, reset: true })).rejects.toThrow(/is not removed/)
    expect(await readdir(other)).toEqual(['thesis.txt'])
  })

  it('starts from nothing with --reset', async () => {
    await demo.stop()
    demo = await prepare({ reset: true })
    expect(await count('customers')).toBe(600)
  })
})

it.each([
  { key: 'port', option: '--port' },
  { key: 'httpPort', option: '--http-port' },
])('names $option when that port is busy', async ({ key, option }) => {
  const busy = await occupyPort()
  await expect(prepare({ [key]: busy.port })).rejects.toMatchObject({
    message: `port ${busy.port} of 127.0.0.1 is in use by another program`,
    hint: expect.stringContaining(option) as string,
  })
  await busy.release()
})
