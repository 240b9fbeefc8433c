// What pgwarden says on its standard output in a life with good and bad clients: lines of one shape, and nothing
// of what statements are about.

import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { build } from '../support/executable.ts'
import { parseLine } from '../support/memory-journal.ts'
import { execute, parse, sql, sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const known = new Set([
  ...['level', 'time', 'pid', 'hostname', 'msg'],
  ...['session', 'principal', 'grant', 'role', 'target', 'lease', 'engine', 'databaseRole'],
  ...['client', 'code', 'sqlstate', 'reason', 'count', 'part', 'err', 'result', 'seconds'],
  ...['version', 'instance', 'ports', 'httpPort', 'method', 'route', 'status', 'ms', 'trace'],
  ...['delayMs', 'drainTimeoutMs', 'left'],
])
/** In every statement of the test, once as a name and once as a value. */
const marker = 'quicksilver'

let warden: Warden
let lines: readonly Readonly<Record<string, unknown>>[]
let text: string

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    logLevel: 'debug',
    schema: 'create table t (a text)',
  })
  const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
  for (const statement of [
    `SELECT '${marker}' AS ${marker}`,
    `DELETE FROM t WHERE a = '${marker}'`,
    `SELECT ${marker} FROM t`,
    `SELEC '${marker}'`,
    `SELECT '${marker}'::int`,
  ]) {
    client.says(sql(statement))
    await client.hears('readyForQuery')
    client.says(parse(statement), execute(), sync)
    await client.hears('readyForQuery')
  }
  client.close()
  await expect(
    WireClient.logIn(warden.port, { ...(await warden.login('read_only')), password: 'wrong' }),
  ).rejects.toThrow()
  const stranger = connect(warden.port, '127.0.0.1')
  stranger.end(`${marker} ${marker} ${marker}\n`)
  await new Promise((resolve) => stranger.resume().once('close', resolve))
  await fetch(`http://127.0.0.1:${warden.httpPort}/api/v1/grants`)
  await warden.halt()
  const { stdout = '', stderr = '' } = warden.run ?? {}
  text = stdout + stderr
  lines = stdout.trimEnd().split('\n').map(parseLine)
}, 180_000)
afterAll(() => warden.stop())

it('is JSON with a level, a time, a process and a sentence in every line', () => {
  expect(lines.length).toBeGreaterThan(5)
  for (const line of lines) {
    expect(['debug', 'info', 'warn', 'error']).toContain(line['level'])
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(line['pid']).toBeTypeOf('number')
    expect(line['hostname']).toBeTypeOf('string')
    expect(line['msg']).toMatch(/^\S.{5,}/)
    expect(Object.keys(line).filter((key) => !known.has(key))).toEqual([])
  }
})

it('says error of nothing that clients do wrong', () => {
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([{ msg: 'login refused' }])
})

it('calls a session by the id that the journal has', async () => {
  const journal = await readFile(`${warden.journalDirectory}/main-000000000001.jsonl`, 'utf8')
  const ended = lines.find(({ msg }) => msg === 'session ended')
  const started = journal
    .trimEnd()
    .split('\n')
    .map(parseLine)
    .find(({ type }) => type === 'session.start')
  expect(ended?.['session']).toBe(started?.['session'])
})

it('holds no word of a statement, at any level', () => {
  expect(text).not.toContain(marker)
})
