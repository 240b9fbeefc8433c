// What people do to have something run that the journal does not show, or shows as something else. Each
// test plays a sequence of messages against a real server and then compares the journal with what the
// database did.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { hearsUntilRow } from '../support/answers.ts'
import { parseLine } from '../support/memory-journal.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'
import { refill, rowsOf, twoRows } from '../support/two-rows.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const schema = `
  ${twoRows}
  CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES ($1) RETURNING a';
  CREATE FUNCTION claims_to_be_immutable(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
    $$ BEGIN RETURN writes($1); END $$;
`

interface Event {
  readonly text: string
  readonly result: string
  readonly command: string | undefined
}

let warden: Warden
let wire: WireClient
let seen = 0

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
})
afterAll(() => warden.stop())

beforeEach(async () => {
  await refill(warden)
  seen = (await warden.journal()).length
  wire = await WireClient.logIn(warden.port, await warden.login('read_limited_write'))
  return () => wire.close()
})

/** Says it all at once and waits until everything is answered. */
async function says(...messages: readonly FrontendMessage[]): Promise<void> {
  wire.says(...messages)
  await settle()
}

async function settle(): Promise<void> {
  wire.says(sync, sql("SELECT 'settled'"))
  await hearsUntilRow(wire, 'settled')
}

/** The statements of this test with their outcomes, the marks of `settle` left out. */
async function events(): Promise<readonly Event[]> {
  const all = (await warden.journal()).slice(seen)
  const outcomes = new Map(
    all.filter((r) => r['type'] === 'outcome').map((r) => [String(r['statement']), r]),
  )
  return all
    .filter((r) => r['type'] === 'statement' && !String(r['text']).includes("'settled'"))
    .map((r) => {
      const outcome = outcomes.get(String(r['id']))
      return {
        text: String(r['text']),
        result: String(outcome?.['result']),
        command: outcome?.['command'] === undefined ? undefined : String(outcome['command']),
      }
    })
}

const copyDone: FrontendMessage = { type: 'copyDone' }
const data = (text: string): FrontendMessage => ({ type: 'copyData', data: Buffer.from(text) })
const freeze = 'COPY t FROM STDIN (FREEZE)'

describe('the journal shows what ran', () => {
  it('when a COPY fails after it has asked for data, and a statement stands behind it', async () => {
    await says(sql(freeze), sql('DELETE FROM t WHERE a = 1'))
    expect(await rowsOf(warden)).toEqual([2])
    expect(await events()).toEqual([
      expect.objectContaining({ text: freeze, result: 'error' }),
      { text: 'DELETE FROM t WHERE a = 1', result: 'ok', command: 'DELETE' },
    ])
  })

  it('when an extended COPY fails after it has asked for data, and Sync was sent with it', async () => {
    wire.says(parse(freeze), bind(), execute(), sync)
    await wire.hears('readyForQuery')
    wire.query('DELETE FROM t WHERE a = 1')
    await wire.hears('readyForQuery')
    expect(await rowsOf(warden)).toEqual([2])
    expect(await events()).toEqual([
      expect.objectContaining({ text: freeze, result: 'error' }),
      { text: 'DELETE FROM t WHERE a = 1', result: 'ok', command: 'DELETE' },
    ])
  })

  it('when COPY data is bad and Sync is sent before the end of the data', async () => {
    wire.says(parse('COPY t FROM STDIN'), bind(), execute(), { type: 'flush' })
    await wire.hears('copyInResponse')
    wire.says(data('not a number\n'), sync)
    await wire.hears('readyForQuery')
    wire.query('DELETE FROM t WHERE a = 1')
    await wire.hears('readyForQuery')
    expect((await events()).at(-1)).toEqual({
      text: 'DELETE FROM t WHERE a = 1',
      result: 'ok',
      command: 'DELETE',
    })
  })

  it('when a stray CopyDone stands before a COPY', async () => {
    wire.says(copyDone, sql('COPY t FROM STDIN'))
    await wire.hears('copyInResponse')
    await says(data('7\n'), copyDone)
    expect(await rowsOf(warden)).toEqual([1, 2, 7])
    expect(await events()).toEqual([{ text: 'COPY t FROM STDIN', result: 'ok', command: 'COPY' }])
  })

  it('when a name is to be redefined by a message that the server skips', async () => {
    await says(parse('DELETE FROM t WHERE a = 1', 'n'), sync)
    await says(
      parse('SELECT nowhere', 'x'),
      { type: 'close', target: 'statement', name: 'n' },
      parse('SELECT 2', 'n'),
      sync,
      bind('n'),
      execute(),
      sync,
    )
    expect(await rowsOf(warden)).toEqual([2])
    const ran = (await events()).find(({ command }) => command === 'DELETE')
    expect(ran?.text).toContain('DELETE FROM t WHERE a = 1')
  })

  it('when a name is to be redefined by a query string that fails', async () => {
    await says(sql('PREPARE n AS DELETE FROM t WHERE a = 1'))
    await says(sql('SELECT 1/0; DEALLOCATE n; PREPARE n AS SELECT 2'), bind('n'), execute(), sync)
    expect(await rowsOf(warden)).toEqual([2])
    const ran = (await events()).find(({ command }) => command === 'DELETE')
    expect(ran?.text).toContain('DELETE FROM t WHERE a = 1')
  })

  it('when names differ only behind the 63 bytes that the server reads', async () => {
    const name = 'n'.repeat(63)
    await says(
      parse('SELECT 1', `${name}x`),
      { type: 'close', target: 'statement', name },
      parse('DELETE FROM t WHERE a = 1', name),
      bind(`${name}x`),
      execute(),
      sync,
    )
    const texts = (await events()).filter(({ result }) => result === 'ok').map(({ text }) => text)
    if ((await rowsOf(warden)).length === 1) expect(texts).toContain('DELETE FROM t WHERE a = 1')
    else expect(texts).toEqual([])
  })

  it('when portals differ only behind the 63 bytes that the server reads', async () => {
    const name = 'p'.repeat(63)
    await says(
      parse('SELECT 1', 'one'),
      parse('DELETE FROM t WHERE a = 1', 'two'),
      bind('one', `${name}x`),
      { type: 'close', target: 'portal', name },
      bind('two', name),
      execute(`${name}x`),
      sync,
    )
    const texts = (await events()).filter(({ result }) => result === 'ok').map(({ text }) => text)
    if ((await rowsOf(warden)).length === 1) expect(texts).toContain('DELETE FROM t WHERE a = 1')
    else expect(texts).toEqual([])
  })

  it('when SQL EXECUTE runs what a Parse message prepared', async () => {
    const text = 'DELETE FROM t WHERE a = 1 OR a IS NULL'
    await says(parse(text, 'n'), sync)
    await says(sql('EXECUTE n'))
    expect(await rowsOf(warden)).toEqual([2])
    expect(JSON.stringify(await warden.journal())).toContain(text)
  })

  it('when FETCH runs what a Bind message opened', async () => {
    const text = 'DELETE FROM t WHERE a = 1 RETURNING a AS fetched'
    await says(sql('BEGIN'), parse(text), bind('', 'p'), sync)
    await says(sql('FETCH ALL FROM p'), sql('COMMIT'))
    expect(await rowsOf(warden)).toEqual([2])
    expect(JSON.stringify(await warden.journal())).toContain(text)
  })

  it('when planning alone has an effect, and nothing is ever executed', async () => {
    await says(parse('SELECT claims_to_be_immutable(9)'), bind(), sync)
    expect(await rowsOf(warden)).toEqual([1, 2, 9])
    expect((await events()).map(({ text }) => text)).toContain('SELECT claims_to_be_immutable(9)')
  })

  it('when it stands behind 64 kB of comment', async () => {
    const text = `/* ${'x'.repeat(70_000)} */ DELETE FROM t WHERE a = 1 -- the end`
    await says(sql(text))
    expect(await rowsOf(warden)).toEqual([2])
    const all = await warden.journal('statement')
    const event = all.find(({ textBytes }) => textBytes === text.length)
    expect(event).toMatchObject({ text: text.slice(0, 16 * 1024) })
    const beside = join(warden.journalDirectory, 'main-000000000001.overflow.jsonl')
    const texts = (await readFile(beside, 'utf8')).trimEnd().split('\n').map(parseLine)
    const whole = { seq: event?.['seq'], sha256: event?.['textSha256'], text }
    expect(texts).toContainEqual(whole)
  })
})

describe('each statement has an outcome', () => {
  it('also when a portal is fetched from twice in one pipeline', async () => {
    await says(parse('SELECT generate_series(1, 5)'), bind(), execute('', 1), execute('', 1), sync)
    const all = await events()
    expect(all.map(({ result }) => result)).not.toContain('undefined')
  })

  it('also when the connection is dropped right behind it', async () => {
    wire.query('INSERT INTO t VALUES (8)')
    wire.socket.end()
    await expect
      .poll(async () => (await events()).map(({ result }) => result))
      .toEqual([expect.stringMatching(/ok|unknown/)])
  })
})
