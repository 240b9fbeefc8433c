// A configuration that is read again while sessions run statements: what it denies is denied from one record of
// the journal on, what it does not speak of goes on, and one that cannot be used changes nothing.

import { queryObjects } from 'node:v8'
import { Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { JournalReader } from '../../src/journal/reader.ts'
import { Policy } from '../../src/policy/policy.ts'
import { Connector } from '../../src/upstream/connector.ts'
import { eventually } from '../support/eventually.ts'
import { build, Run } from '../support/executable.ts'
import { accessLines, introduce, type Person } from '../support/people.ts'
import { type JournalRecord, Warden } from '../support/warden.ts'

let warden: Warden
let admin: Person
let developer: Person

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    access: accessLines,
    roles: ['clerk:', '  includes: [read_limited_write]'],
    moreRoles: ['clerk'],
    schema: 'CREATE TABLE orders (id int)',
  })
  admin = await introduce(warden, 'carol', { groups: ['pgwarden-admins'] })
  developer = await introduce(warden, 'alice', { groups: ['developers'] })
}, 120_000)
afterAll(() => warden.stop())

/** Resolves when the file as it is now is in force. */
async function hangUp(): Promise<JournalRecord> {
  const before = (await warden.journal('config.applied')).length
  warden.run?.process.kill('SIGHUP')
  await eventually(async () => (await warden.journal('config.applied')).length > before)
  const [applied] = (await warden.journal('config.applied')).slice(before)
  if (applied === undefined) throw new Error('it is not there any more')
  return applied
}

// What vitest answers here is `any`.
const like = (pattern: RegExp): unknown => expect.stringMatching(pattern)
const holding = (part: string): unknown => expect.stringContaining(part)

async function works(client: Client): Promise<boolean> {
  return (await client.query('select 1')).rowCount === 1
}

interface Loop {
  readonly client: Client
  readonly failures: DatabaseError[]
  /** By statement, those that came back since the last look. */
  done: number
  readonly ended: Promise<void>
}

/** Runs statements until `stopped`, some of them prepared once for all. */
function loop(client: Client, stopped: () => boolean): Loop {
  const failures: DatabaseError[] = []
  const running: Loop = { client, failures, done: 0, ended: run() }
  return running

  async function run(): Promise<void> {
    const statements = [
      'select count(*) from orders',
      'delete from orders where id = 0',
      { name: 'prepared_delete', text: 'delete from orders where id = $1', values: [0] },
      { name: 'prepared_insert', text: 'insert into orders values ($1)', values: [1] },
    ]
    while (!stopped()) {
      for (const statement of statements) {
        try {
          await client.query(statement)
        } catch (error) {
          if (!(error instanceof DatabaseError)) throw error
          failures.push(error)
        }
        running.done += 1
      }
    }
  }
}

function deletes(records: readonly JournalRecord[]) {
  return records.filter(({ tags }) => Array.isArray(tags) && tags.includes('DELETE'))
}

describe('a reload under load', () => {
  it('denies what is denied now from one record on, prepared statements too, and costs no session', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => warden.connect('clerk')))
    let stop = false
    const loops = clients.map((client) => loop(client, () => stop))
    const goesOn = async () => {
      const before = loops.map(({ done }) => done)
      await eventually(
        async () => loops.every(({ done }, at) => done > (before[at] ?? 0) + 8),
        30_000,
      )
    }
    await goesOn()
    await warden.edit((text) =>
      text.replace('  includes: [read_limited_write]', "$&\n    commands: ['!DELETE']"),
    )
    const applied = await hangUp()
    await goesOn()
    stop = true
    await Promise.all(loops.map(({ ended }) => ended))
    await Promise.all(clients.map((client) => client.end()))

    const failures = loops.flatMap((each) => each.failures)
    expect(loops.every((each) => each.failures.length > 0)).toBe(true)
    expect(new Set(failures.map(({ code }) => code))).toEqual(new Set(['42501']))
    expect(failures.every(({ message }) => message.includes('DELETE'))).toBe(true)
    const judged = deletes(await warden.journal('statement'))
    const [before, behind] = [-1, 1].map((side) =>
      judged.filter(({ seq }) => Math.sign(Number(seq) - Number(applied['seq'])) === side),
    )
    expect(before?.length).toBeGreaterThan(0)
    expect(behind?.length).toBeGreaterThan(0)
    expect(new Set(before?.map(({ decision }) => decision))).toEqual(new Set(['allow']))
    expect(new Set(behind?.map(({ decision }) => decision))).toEqual(new Set(['deny']))
    await eventually(async () => (await warden.journal('session.end')).length === 6)
    expect(await warden.journal('config.reload')).toMatchObject([
      {
        by: 'SIGHUP',
        changes: [{ path: 'roles.clerk.commands', to: '["!DELETE"]' }],
        restart: [],
      },
    ])
  }, 60_000)
})

describe('a configuration that cannot be used', () => {
  it('changes nothing, and says where it is broken', async () => {
    const client = await warden.connect('clerk')
    const sound = { text: '' }
    await warden.edit((text) => {
      sound.text = text
      return text.replace('database:', 'data_base:').replace('[read_limited_write]', '[nobody]')
    })
    await expect(admin.at(warden).reload()).rejects.toMatchObject({
      status: 422,
      code: 'invalid_configuration',
      detail: like(/pgwarden\.yaml:\d+:\d+: targets\.shop\.data_base: unknown key/),
    })
    expect(await works(client)).toBe(true)
    expect(await warden.journal('config.rejected')).toMatchObject([
      { by: 'carol', problem: holding('targets.shop.data_base') },
    ])
    const metrics = await (await fetch(new URL('/metrics', warden.apiUrl))).text()
    expect(metrics).toContain('pgwarden_config_reloads_total{result="invalid"} 1')
    expect(metrics).toContain('pgwarden_config_last_reload_successful 0')
    await warden.edit(() => sound.text)
    await expect(admin.at(warden).reload()).resolves.toMatchObject({ changes: [], restart: [] })
    await client.end()
  })

  it('is applied by nobody but administrators', async () => {
    await expect(developer.at(warden).reload()).rejects.toMatchObject({ status: 403 })
  })
})

describe('a target', () => {
  it('that is added is there at once; that is removed ends its sessions and takes its logins back', async () => {
    await warden.edit((text) => `${text}  second:\n    <<: *shop\n    aliases: [zweite]\n`)
    const { changes } = await admin.at(warden).reload()
    expect(changes).toContainEqual({ path: 'targets.second.aliases', to: '["zweite"]' })
    expect(JSON.stringify(changes)).not.toContain('broker.password","to":"p')
    const settings = await warden.login('clerk', { target: 'second' })
    const client = new Client({ ...settings, database: 'zweite' })
    const ended = new Promise<unknown>((resolve) => client.on('error', resolve))
    await client.connect()
    const kept = await warden.connect('clerk')
    const { rows } = await client.query<{ role: string }>('select current_user as role')

    await warden.edit((text) => text.slice(0, text.indexOf('  second:')))
    await admin.at(warden).reload()
    expect(await ended).toMatchObject({
      code: '57P01',
      detail: holding('target that is no longer configured'),
    })
    await eventually(async () => {
      const left = await warden.asSuperuser((direct) =>
        direct.query('select 1 from pg_roles where rolname = $1', [rows[0]?.role]),
      )
      return left.rowCount === 0
    })
    expect(await works(kept)).toBe(true)
    await kept.end()
    await expect(new Client({ ...settings, database: 'zweite' }).connect()).rejects.toThrow()
  }, 30_000)

  it('with another password of its broker costs no session', async () => {
    const client = await warden.connect('clerk')
    await warden.asSuperuser((direct) =>
      direct.query("create role other_broker superuser login password 'another one'"),
    )
    const before = { text: '' }
    try {
      await warden.edit((text) => {
        before.text = text
        return text
          .replace(/( {8}user: ).*/, '$1other_broker')
          .replace(/( {8}password: ).*/, '$1another one')
      })
      const { changes } = await admin.at(warden).reload()
      expect(changes).toContainEqual({
        path: 'targets.shop.credentials.broker.password',
        from: '[redacted]',
        to: '[redacted]',
      })
      expect(await works(client)).toBe(true)
      const fresh = await warden.connect('clerk')
      expect(await works(fresh)).toBe(true)
      await Promise.all([client.end(), fresh.end()])
    } finally {
      await warden.edit(() => before.text)
      await admin.at(warden).reload()
      await warden.asSuperuser((direct) => direct.query('drop role other_broker'))
    }
  }, 30_000)
})

describe('pgwarden reload', () => {
  it('shows what has changed, and what waits for a restart', async () => {
    await warden.edit((text) =>
      text
        .replace('log: { level: info }', 'log: { level: warn }')
        .replace('http:\n', 'http:\n  url: https://other.example\n'),
    )
    const run = new Run(['reload'], {
      env: admin.env(warden),
    })
    expect(await run.ended()).toBe(0)
    expect(run.stdout).toMatch(/^SETTING +FROM +TO\nlog\.level +info +warn\n/)
    expect(run.stderr).toContain('waiting for a restart: http.url')
  })
})

describe('reloads one after the other', () => {
  it('leave nothing behind: old rules, old APIs and old ways to targets are collected', async () => {
    // In this process, where one can look.
    const here = await Warden.start(inject('adminUrl'), {
      beside: warden,
      access: accessLines,
      roles: ['clerk:', '  includes: [read_limited_write]', '  relations: { deny: [secret_0.*] }'],
      moreRoles: ['clerk'],
      shop: ['connectTimeout: 5001ms'],
    })
    try {
      const client = await here.connect('clerk')
      const reload = async (from: number, to: number): Promise<void> => {
        for (let count = from; count < to; count++) {
          await here.edit((text) =>
            text
              .replace(/secret_\d+/, `secret_${count}`)
              .replace(/connectTimeout: \d+/, `connectTimeout: ${5_001 + count}`),
          )
          expect((await admin.at(here).reload()).changeCount).toBe(2)
          expect(await works(client)).toBe(true)
        }
      }
      await reload(1, 12)
      const kept = [Policy, Connector, JournalReader].map((kind) =>
        queryObjects(kind, { format: 'count' }),
      )
      // What judges, the way to the only target, and what each API has one of.
      expect(kept).toEqual([1, 1, 1])
      await client.end()
    } finally {
      await here.stop()
    }
  }, 60_000)
})
