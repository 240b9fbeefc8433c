// What is recorded arrives: pgwarden with sinks in front of a real database, restarted, killed, and with
// receivers that are away.

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { readLines } from '../../src/journal/lines.ts'
import { listSegments } from '../../src/journal/segments.ts'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { freePort } from '../support/ports.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'
import { StrictSyslog } from '../support/strict-syslog.ts'
import { Warden } from '../support/warden.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
let warden: Warden | undefined
const closing: (() => Promise<unknown>)[] = []

beforeAll(() => build(), 120_000)
afterEach(async () => {
  await warden?.stop()
  warden = undefined
  for (const close of closing.splice(0)) await close()
})

/** The lines of the proxy's chain, as they stand in the journal. */
async function journalLines({ journalDirectory }: Warden): Promise<readonly string[]> {
  const lines: string[] = []
  for (const { chain, path } of listSegments(journalDirectory)) {
    if (chain !== 'main') continue
    for await (const piece of readLines(path)) {
      if (piece.type === 'lines') lines.push(...piece.lines.map(String))
    }
  }
  return lines
}

function told(receiver: Receiver): readonly string[] {
  return receiver.received.flatMap(({ body }) => body.split('\n').slice(0, -1))
}

/** Each of them at its first coming: doubles are allowed, another order is not. */
function firstComings(lines: readonly string[]): readonly string[] {
  return [...new Set(lines)].filter((line) => seqOf(line) > 0 && !line.includes('"operator-'))
}

function seqOf(line: string): number {
  return Number(/^\{"seq":(\d+),/.exec(line)?.[1] ?? 0)
}

/** Those of the proxy's own chain: what operators did comes in between. */
function ofMain(lines: readonly string[], journal: readonly string[]): readonly string[] {
  const main = new Set(journal)
  return firstComings(lines).filter((line) => main.has(line))
}

describe('sinks', () => {
  it('have every record, in order, after the process was killed in the middle', async () => {
    const webhook = await startReceiver()
    const syslog = await StrictSyslog.start()
    closing.push(
      () => webhook.close(),
      () => syslog.stop(),
    )
    warden = await Warden.start(inject('adminUrl'), {
      ownProcess: true,
      sections: [
        'audit:',
        '  sinks:',
        '    - file: { path: ./shipped.jsonl }',
        `    - webhook: { url: '${webhook.url}', secret: ${secret} }`,
        `    - syslog: { host: '127.0.0.1:${syslog.port}', tls: off }`,
      ],
    })
    const client = await warden.connect('read_only')
    const working = (async () => {
      for (let n = 0; ; n += 1) await client.query(`SELECT ${n}`)
    })()
    const over = expect(working).rejects.toThrow()
    await eventually(async () => told(webhook).length > 500)
    warden.run?.process.kill('SIGKILL')
    await over
    await warden.run?.ended()

    await warden.serve(true)
    const again = await warden.connect('read_only')
    await again.query('SELECT 4711')
    await again.end()
    await warden.halt()

    const journal = await journalLines(warden)
    const file = join(warden.directory, 'shipped.jsonl')
    const shipped = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
    expect(journal.length).toBeGreaterThan(500)
    expect(journal.at(-1)).toContain('"journal.close"')
    expect(ofMain(shipped, journal)).toEqual(journal)
    expect(ofMain(told(webhook), journal)).toEqual(journal)
    expect(
      ofMain(
        syslog.received.map(({ text }) => text),
        journal,
      ),
    ).toEqual(journal)
    expect(syslog.complaints).toEqual([])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('go on without one that is away, and it gets what it has missed', async () => {
    const port = await freePort()
    const webhook = await startReceiver()
    closing.push(() => webhook.close())
    warden = await Warden.start(inject('adminUrl'), {
      sections: [
        'audit:',
        '  sinks:',
        `    - webhook: { url: '${webhook.url}', secret: ${secret} }`,
        `    - { name: away, syslog: { host: '127.0.0.1:${port}', tls: off } }`,
      ],
    })
    const running = warden
    const client = await running.connect('read_only')
    for (let n = 0; n < 50; n += 1) await client.query(`SELECT ${n}`)
    await eventually(async () => told(webhook).some((line) => line.includes('SELECT 49')))
    const metrics = async (): Promise<string> =>
      (await fetch(new URL('metrics', running.apiUrl))).text()
    await eventually(async () =>
      /pgwarden_sink_lag_records\{sink="away"\} [1-9]\d/.test(await metrics()),
    )
    const said = await metrics()
    expect(said).toMatch(/pgwarden_sink_failures_total\{sink="away"\} [1-9]/)
    expect(said).toMatch(/pgwarden_sink_oldest_unsent_seconds\{sink="away"\} \d/)
    expect(said).toMatch(/pgwarden_sink_failures_total\{sink="webhook"\} 0/)
    // A sink that is away turns nobody away.
    expect((await fetch(new URL('readyz', running.apiUrl))).status).toBe(200)

    const syslog = await StrictSyslog.start({ port })
    closing.push(() => syslog.stop())
    await eventually(async () => syslog.received.some(({ text }) => text.includes('SELECT 49')))
    await client.end()
    await running.halt()
    const journal = await journalLines(running)
    expect(
      ofMain(
        syslog.received.map(({ text }) => text),
        journal,
      ),
    ).toEqual(journal)
    expect(ofMain(told(webhook), journal)).toEqual(journal)
  })
})
