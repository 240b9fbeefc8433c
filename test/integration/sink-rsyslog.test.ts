// A real syslog server reads what pgwarden sends.

import { afterAll, describe, expect, it } from 'vitest'
import type { Shipment } from '../../src/audit/outbox.ts'
import { Secret } from '../../src/secret.ts'
import { SyslogSink } from '../../src/sinks/syslog.ts'
import { certify } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { findRsyslogd } from '../support/psql.ts'
import { Rsyslog } from '../support/rsyslog.ts'

const program = findRsyslogd()
if (program === undefined) console.warn('NOT RUN: rsyslog over TLS needs rsyslog, rsyslog-openssl')

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing) await close()
})

const lines = [
  '{"seq":1,"type":"statement","text":"SELECT \'ä\'","decision":"deny","hash":"00"}',
  `{"seq":2,"type":"outcome","text":"${'x'.repeat(65_000)}","hash":"00"}`,
]

describe.skipIf(program === undefined)('rsyslog', () => {
  it('reads every line as it stands in the journal, over TLS and with our certificate', async () => {
    const authority = await certify('authority', { isAuthority: true })
    const own = await certify('localhost', { by: authority })
    const server = await Rsyslog.start(program ?? '', authority, own)
    closing.push(() => server.stop())
    const ours = await certify('pgwarden', { by: authority })
    const client = { certificate: ours.certificate, key: new Secret(ours.key) }
    const sink = new SyslogSink({
      ...{ type: 'syslog', name: 'siem', host: 'localhost', port: server.port },
      tls: { ca: authority.certificate, client },
    })
    closing.unshift(() => sink.close())
    const batch = lines.map(
      (line, at): Shipment => ({
        ...{ chain: 'main', sequence: at + 1, event: `chain-${at + 1}` },
        ...{ time: '2026-01-02T03:04:05.678901Z', type: at === 0 ? 'statement' : 'outcome' },
        line: Buffer.from(line),
      }),
    )
    await sink.send(batch, new AbortController().signal)
    await eventually(async () => (await server.messages()).length === 2)
    const common = { app: 'pgwarden', data: '[origin software="pgwarden"]' }
    expect(await server.messages()).toEqual([
      { ...common, priority: '108', id: 'statement', text: `\ufeff${lines[0]}` },
      { ...common, priority: '110', id: 'outcome', text: `\ufeff${lines[1]}` },
    ])
  })
})
