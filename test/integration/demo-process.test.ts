import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { build, Run } from '../support/executable.ts'
import { freePorts, occupyPort } from '../support/ports.ts'

let parent = ''
let directory = ''
let ports: readonly [number, number] = [0, 0]

beforeAll(async () => {
  await build()
  parent = await mkdtemp(join(tmpdir(), 'pgwarden-demo-'))
  // mkdtemp closes it to the account that runs PostgreSQL in place of root.
  await chmod(parent, 0o711)
  directory = join(parent, 'demo')
}, 120_000)

beforeEach(async () => {
  ports = await freePorts()
})

afterAll(async () => {
  await rm(parent, { recursive: true, force: true })
})

const demo = (...more: readonly string[]) =>
  new Run([
    ...['demo', '--data', directory, '--port', String(ports[0]), '--http-port', String(ports[1])],
    ...more,
  ])
const ready = 'Ctrl-C stops everything.'

async function postgresProcess(): Promise<number> {
  return Number.parseInt(await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8'), 10)
}

async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      process.kill(pid, 0)
    } catch {
      return true
    }
    await sleep(50)
  }
  return false
}

/** The connection settings that the demo printed for a person. */
function printed(stdout: string, user: string): ReadonlyMap<string, string> {
  const line = stdout.split('\n').find((text) => text.includes(`user=${user} `)) ?? ''
  const words = line.matchAll(/(\w+)=([^\s"]+)/g)
  return new Map([...words].map(([, name = '', value = '']) => [name, value]))
}

it('serves each of its people, then stops everything at Ctrl-C', async () => {
  const run = demo()
  await run.prints(ready)
  const postgres = await postgresProcess()
  for (const user of ['alice', 'bob', 'carol', 'dave']) {
    const settings = printed(run.stdout, user)
    const client = new Client({
      user,
      host: settings.get('host') ?? '',
      port: Number(settings.get('port')),
      database: settings.get('dbname') ?? '',
      password: settings.get('password') ?? '',
    })
    await client.connect()
    const { rows } = await client.query<{ count: string }>('select count(*) from customers')
    expect(rows).toEqual([{ count: '600' }])
    await client.end()
  }
  const metrics = await fetch(`http://127.0.0.1:${ports[1]}/metrics`)
  expect(metrics.status).toBe(200)
  run.process.kill('SIGINT')
  expect(await run.ended()).toBe(0)
  expect(run.stderr).toContain('Stopping')
  expect(await gone(postgres)).toBe(true)
})

it('leaves no PostgreSQL behind when it is killed, and starts again', async () => {
  const killed = demo()
  await killed.prints(ready)
  const postgres = await postgresProcess()
  killed.process.kill('SIGKILL')
  expect(await gone(postgres)).toBe(true)
  const again = demo()
  await again.prints(ready)
  again.process.kill('SIGTERM')
  expect(await again.ended()).toBe(0)
})

it('ends at once at a second Ctrl-C, and PostgreSQL with it', async () => {
  const run = demo()
  await run.prints(ready)
  const postgres = await postgresProcess()
  run.process.kill('SIGINT')
  // Two at once count as one.
  await sleep(300)
  run.process.kill('SIGINT')
  await run.ended()
  expect(await gone(postgres)).toBe(true)
})

it('says which port is busy and how to choose another', async () => {
  const busy = await occupyPort()
  const run = demo('--port', String(busy.port))
  expect(await run.ended()).toBe(1)
  expect(run.stderr).toContain(`port ${busy.port} of 127.0.0.1 is in use by another program`)
  expect(run.stderr).toContain('--port')
  await busy.release()
})

it('does not mind a reader that goes away', async () => {
  const run = new Run(['audit', 'tail', '--follow', join(directory, 'journal')])
  run.process.stdout.destroy()
  expect(await run.ended()).toBe(0)
  expect(run.stderr).toBe('')
})
