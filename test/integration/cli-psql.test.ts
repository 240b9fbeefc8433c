// `pgwarden psql` as a process of its own, with the real psql and a real proxy: where the token is and where
// it is not, whose Ctrl-C is whose, and whose exit status.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ControlPlane, key } from '../support/control-plane.ts'
import { eventually } from '../support/eventually.ts'
import { type HttpServer, serveHttp } from '../support/http-server.ts'
import { findPsql } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'

const psql = findPsql() ?? ''
if (psql === '') console.warn('NOT RUN: psql is not installed, so its tests are not run')

const root = fileURLToPath(new URL('../..', import.meta.url))

let warden: Warden
let http: HttpServer
let plane: ControlPlane
let home: string

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'))
  plane = new ControlPlane()
  http = await serveHttp(plane.fetch)
  home = await mkdtemp(join(tmpdir(), 'pgwarden-home-'))
  const { user, password } = await warden.login('read_only')
  plane.token = password
  plane.connection = { ...plane.connection, port: warden.port, user }
  plane.grant()
})
afterAll(async () => {
  await http.stop()
  await warden.stop()
  await rm(home, { recursive: true, force: true })
})

interface Running {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<number | null>
}

/** In a process group of its own, as a shell would start it. */
function pgwarden(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const loader = './test/support/typescript-loader.mjs'
  const child = spawn(process.execPath, ['--import', loader, 'src/main.ts', ...words], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH: process.env['PATH'], HOME: home, XDG_CONFIG_HOME: home },
      ...{ PGWARDEN_URL: http.url, PGWARDEN_API_KEY: key },
      ...env,
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
  }
  const ended = once(child, 'close').then(() => child.exitCode)
  return { child, output: () => output, ended }
}

describe.skipIf(psql === '')('pgwarden psql', () => {
  it('is psql: its output, without a word of ours in it', async () => {
    const { output, ended } = pgwarden(['psql', 'shop', '--', '-XAt', '-c', 'select 6 * 7'])
    expect(await ended).toBe(0)
    expect(output()).toMatch(/\n42\n$/)
  })

  it('sends the token where pgwarden says, whatever a service or a password file says', async () => {
    const evil = join(home, 'evil.conf')
    await writeFile(evil, '[evil]\nhost=192.0.2.1\nport=1\nsslmode=require\n')
    const { output, ended } = pgwarden(['psql', 'shop', '--', '-XAt', '-c', 'select 6 * 7'], {
      ...{ PGSERVICE: 'evil', PGSERVICEFILE: evil, PGHOST: '192.0.2.1', PGHOSTADDR: '192.0.2.1' },
      ...{ PGPASSFILE: evil, PGOPTIONS: '-c statement_timeout=0', PGPASSWORD: 'other' },
    })
    expect(await ended).toBe(0)
    expect(output()).toMatch(/\n42\n$/)
  })

  it('shows the token in no argument list, and leaves Ctrl-C to psql', async () => {
    const sql = 'select pg_sleep(60)'
    const { child, output, ended } = pgwarden(['psql', 'shop', '--', '-X', '-c', sql])
    await running(sql)
    const lists = await argumentLists(child.pid ?? 0)
    expect(lists.some((list) => list.includes(sql) && !list.includes('src/main.ts'))).toBe(true)
    expect(lists.filter((list) => list.includes(plane.token) || list.includes(key))).toEqual([])
    // As a terminal does: to everybody in the group.
    process.kill(-(child.pid ?? 0), 'SIGINT')
    expect(await ended).toBe(1)
    expect(output()).toContain('canceling statement due to user request')
  })

  it('takes psql with it when it is told to end', async () => {
    const sql = 'select pg_sleep(61)'
    const { child, ended } = pgwarden(['psql', 'shop', '--', '-X', '-c', sql])
    await running(sql)
    process.kill(child.pid ?? 0, 'SIGTERM')
    expect(await ended).toBe(143)
    expect((await argumentLists(child.pid ?? 0)).filter((list) => list.includes(sql))).toEqual([])
  })
})

describe('pgwarden psql where psql is not', () => {
  it('says what to install and what else there is', async () => {
    const { output, ended } = pgwarden(['psql', 'shop'], { PATH: home })
    expect(await ended).toBe(1)
    expect(output()).toContain('psql is not installed, or not in the PATH')
    expect(output()).toContain('pgwarden connect shop --uri')
  })
})

describe('what psql is run with', () => {
  it('is the token in the environment, without the API key', async () => {
    const played = await mkdtemp(join(tmpdir(), 'pgwarden-psql-'))
    const file = join(played, 'psql')
    await writeFile(file, '#!/bin/sh\ntest "$1" = --version || env\n')
    await chmod(file, 0o755)
    const path = [played, dirname(process.execPath), '/usr/bin', '/bin'].join(':')
    const { output, ended } = pgwarden(['psql', 'shop'], { PATH: path, PGHOSTADDR: '192.0.2.1' })
    expect(await ended).toBe(0)
    expect(output()).toContain(`PGPASSWORD=${plane.token}\n`)
    expect(output()).not.toContain(key)
    expect(output()).not.toContain('PGHOSTADDR')
    await rm(played, { recursive: true })
  })
})

/** Until the target runs it. */
async function running(sql: string): Promise<void> {
  await eventually(async () => {
    const { rows } = await warden.asSuperuser((client) =>
      client.query(`select 1 from pg_stat_activity where query = $1 and state = 'active'`, [sql]),
    )
    return rows.length > 0
  }, 30_000)
}

/** Of every process in the group. */
async function argumentLists(group: number): Promise<string[]> {
  const lists: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
      // Behind the name, which is in parentheses: state, parent, group.
      const [, , itsGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (Number(itsGroup) !== group) continue
      lists.push((await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' '))
    } catch {
      // It has ended meanwhile.
    }
  }
  return lists
}
