// The audit read while it is written: through the API and out of its directory, across rotation and compression;
// by auditors only, and each read on record.

import { EventEmitter } from 'node:events'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { outside } from '../../src/cli/outside.ts'
import { operations } from '../../src/composition/server.ts'
import { pgwarden } from '../support/command-line.ts'
import { compressSegments } from '../support/compressing.ts'
import { accessLines, introduce, type Person } from '../support/people.ts'
import { Warden } from '../support/warden.ts'

let warden: Warden
let auditor: Person
let developer: Person

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    access: accessLines,
    // The test compresses them itself, when it hurts most.
    journal: ['segmentSize: 64KiB', 'compress: false'],
  })
  auditor = await introduce(warden, 'carol', { groups: ['security'] })
  developer = await introduce(warden, 'alice', { groups: ['developers'] })
})
afterAll(() => warden.stop())

function as(person: Person, words: readonly string[], signals = new EventEmitter()) {
  return pgwarden(['audit', ...words], operations, { env: person.env(warden), outside, signals })
}

function textsIn(stdout: string): readonly string[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => String((JSON.parse(line) as { text?: unknown }).text))
}

async function run(texts: readonly string[]): Promise<void> {
  const client = await warden.connect('read_only')
  for (const text of texts) await client.query(text)
  await client.end()
}

const statements = (name: string, count: number) =>
  Array.from({ length: count }, (_, at) => `SELECT '${name} ${at} ${'x'.repeat(700)}'`)

describe('the audit of a proxy that runs', () => {
  it('is followed through the API and in its directory, while segments are compressed: all in order, once', async () => {
    await run(statements('before', 3))
    const texts = statements('during', 160)
    const signals = new EventEmitter()
    const words = ['tail', '-f', '-n', '1', '--type', 'statement', '--json']
    const ends = [
      as(auditor, words, signals),
      as(auditor, [...words, warden.journalDirectory], signals),
    ]
    // Both are there when they have said that they read.
    await expect
      .poll(async () => [
        ...(await warden.journal('audit.read')).filter(({ how }) => how === 'stream'),
        ...(await warden.operatorJournal('audit.read')),
      ])
      .toHaveLength(2)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await run(texts.slice(0, 80))
    compressSegments(warden.journalDirectory)
    await run(texts.slice(80))
    compressSegments(warden.journalDirectory)
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    signals.emit('SIGINT')
    for (const { status, stdout, stderr } of await Promise.all(ends)) {
      expect(stderr).toBe('')
      expect(status).toBe(0)
      const during = textsIn(stdout).filter((text) => text.includes('during'))
      expect(during).toEqual(texts)
      expect(textsIn(stdout)[0]).toContain('before 2')
    }
  })

  it('is searched by what is wanted, newest first, in both ways the same', async () => {
    await run(['SELECT 1 AS needle', 'SELECT 2 AS needle'])
    const words = ['query', '--text', 'AS needle', '--type', 'statement', '--since', '1h', '--json']
    const api = await as(auditor, words)
    const files = await as(auditor, [...words, warden.journalDirectory])
    expect(textsIn(api.stdout)).toEqual(['SELECT 2 AS needle', 'SELECT 1 AS needle'])
    expect(textsIn(files.stdout)).toEqual(textsIn(api.stdout))
    const [reading] = (await warden.operatorJournal('audit.read')).slice(-1)
    expect(reading).toMatchObject({ via: 'operator', how: 'query' })
    expect(reading?.['filter']).toContain('AS needle')
  })

  it('is nobody’s to read but auditors’, and that it was tried is on record', async () => {
    const { status, stdout, stderr } = await as(developer, ['query', '--json'])
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('this is for auditors only')
    const stranger = { ...developer.env(warden), PGWARDEN_API_KEY: 'pgk_none_at_all' }
    await pgwarden(['audit', 'query'], operations, { env: stranger, outside })
    const calls = await warden.journal('api.call')
    expect(calls).toContainEqual(
      expect.objectContaining({
        ...{ by: 'alice', method: 'GET', route: '/api/v1/audit/events', status: 403 },
        client: '127.0.0.1',
      }),
    )
    expect(calls.find(({ status: of }) => of === 401)).not.toHaveProperty('by')
  })

  it('is not read out of its directory when that cannot be recorded; a copy of it is', async () => {
    const lock = join(warden.journalDirectory, 'operator.lock')
    // Another operator's command that does not end.
    cpSync(join(warden.journalDirectory, 'main.lock'), lock)
    const refused = await as(auditor, ['tail', warden.journalDirectory])
    rmSync(lock)
    expect([refused.status, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr).toContain('could not be recorded in it, so it is not read')
    expect(refused.stderr).toContain('A copy of the directory can be read without.')

    const copy = join(warden.directory, 'copy')
    cpSync(warden.journalDirectory, copy, { recursive: true })
    const before = (await warden.operatorJournal()).length
    const { status, stdout } = await as(auditor, ['tail', '-n', '2', '--chain', 'main', copy])
    expect(status).toBe(0)
    expect(stdout.split('\n')).toHaveLength(3)
    expect(await warden.operatorJournal()).toHaveLength(before)
  })

  it('begins with the version and the configuration that it runs with', async () => {
    const [start] = await warden.journal('proxy.start')
    expect(start?.['configuration']).toMatch(/^[0-9a-f]{64}$/)
  })
})
