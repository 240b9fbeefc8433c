// Secrets in statements, sent in every way and with every end: in no byte that pgwarden writes.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { build } from '../support/executable.ts'
import { execute, parse, sql, sync } from '../support/scripted-session.ts'
import { secret, secretStatements } from '../support/secret-statements.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    logLevel: 'debug',
    schema: `create table t (a text); create table users (hash text); create table notes (note text);
      create function set_password(who text, password text) returns text language sql as 'select $2';
      create function broken_password(password text) returns int language sql as 'select $1::int'`,
    sections: [
      'audit:',
      '  statements: { parameters: full }',
      '  roles: { read_limited_write: { text: normalized }, read_full_write: { text: fingerprint } }',
      '  sinks: [{ file: { path: events.jsonl } }]',
    ],
  })
}, 60_000)
afterAll(() => warden.stop())

it('writes the secret of no statement to the journal, the log, the metrics or a sink', async () => {
  // Recorded in full, in full, without constants, and not at all.
  for (const role of ['admin', 'read_only', 'read_limited_write', 'read_full_write']) {
    const client = await WireClient.logIn(warden.port, await warden.login(role))
    const ask = async (...messages: readonly FrontendMessage[]): Promise<void> => {
      client.says(...messages)
      const answers = messages.filter(({ type }) => type === 'query' || type === 'sync')
      for (const _ of answers) await client.hears('readyForQuery')
    }
    for (const text of secretStatements) {
      const extended = [parse(text), bound(), execute(), sync]
      // Whatever the server makes of it is undone.
      const [begin, undo] = [sql('BEGIN'), sql('ROLLBACK')]
      await ask(begin, sql(text), undo, begin, ...extended, undo)
    }
    await ask(
      ...[parse("SELECT set_password('bob', $1)"), bound(secret), execute(), sync],
      ...[parse('SELECT broken_password($1)'), bound(secret), execute(), sync],
      sql("PREPARE given(text) AS SELECT set_password('bob', $1)"),
      sql(`EXECUTE given('${secret}')`),
    )
    client.close()
  }
  const metrics = await (await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)).text()
  await warden.halt()
  const { stdout = '', stderr = '' } = warden.run ?? {}
  const files = await Promise.all(
    (await readdir(warden.directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(join(entry.parentPath, entry.name), 'utf8')),
  )
  const written = [stdout, stderr, metrics, ...files].join('\n')
  expect(linesWith(written, secret)).toEqual([])
  expect(linesWith(written, "PASSWORD '[redacted]'").length).toBeGreaterThan(20)
  expect(linesWith(written, 'PASSWORD $1').length).toBeGreaterThan(5)
  expect(linesWith(written, 'EXECUTE given($1)').length).toBeGreaterThan(0)
  expect(linesWith(written, '"result":"error"').length).toBeGreaterThan(20)
}, 120_000)

function linesWith(written: string, word: string): readonly string[] {
  return written.split('\n').filter((line) => line.includes(word))
}

function bound(...values: readonly string[]): FrontendMessage {
  return {
    type: 'bind',
    portal: '',
    statement: '',
    parameterFormats: [],
    parameters: values.map((value) => Buffer.from(value)),
    resultFormats: [],
  }
}
