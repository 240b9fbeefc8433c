// What webhooks and syslog servers are sent over the network, and what becomes of what they do not take.

import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import type { Shipment } from '../../src/audit/outbox.ts'
import { systemClock } from '../../src/clock.ts'
import { Secret } from '../../src/secret.ts'
import { SyslogSink } from '../../src/sinks/syslog.ts'
import { WebhookSink } from '../../src/sinks/webhook.ts'
import { certify } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { startReceiver } from '../support/receiver.ts'
import { StrictSyslog } from '../support/strict-syslog.ts'

const { signal } = new AbortController()
const key = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function batch(count: number, text = ''): readonly Shipment[] {
  return Array.from({ length: count }, (_, at) => ({
    ...{ chain: 'main', sequence: at + 1, event: `chain-${at + 1}`, type: 'test' },
    time: '2026-01-02T03:04:05.678901Z',
    line: Buffer.from(`{"seq":${at + 1},"text":"${text}ä"}`),
  }))
}

function webhookAt(url: string, ca?: string): WebhookSink {
  const settings = { type: 'webhook', name: 'siem', url: new Secret(url), ca } as const
  return new WebhookSink({ ...settings, secrets: [new Secret(`whsec_${key}`)] }, systemClock)
}

describe('a webhook', () => {
  it('gets a batch as signed lines over TLS', async () => {
    const tls = await certify('localhost', { names: ['127.0.0.1'] })
    const receiver = await startReceiver(undefined, tls)
    closing.push(() => receiver.close())
    await webhookAt(receiver.url, tls.certificate).send(batch(3), signal)
    const [letter] = receiver.received
    const headers = letter?.headers ?? {}
    const lines = batch(3).map(({ line }) => `${line}\n`)
    expect(letter?.body).toBe(lines.join(''))
    expect(headers['content-type']).toBe('application/x-ndjson')
    expect(headers['webhook-id']).toBe('chain-1_chain-3')
    const signed = `chain-1_chain-3.${String(headers['webhook-timestamp'])}.${letter?.body}`
    const digest = createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${digest}`)
    // Nobody that is not vouched for is told anything.
    await expect(webhookAt(receiver.url).send(batch(1), signal)).rejects.toThrow('no connection')
    expect(receiver.received).toHaveLength(1)
  })

  it('that finds a batch too large gets it in pieces', async () => {
    const taken: string[] = []
    const receiver = await startReceiver(({ body }) => {
      if (body.length > 300) return { status: 413 }
      taken.push(body)
      return { status: 200 }
    })
    closing.push(() => receiver.close())
    const webhook = webhookAt(receiver.url)
    await webhook.send(batch(40), signal)
    expect(taken.join('')).toBe(
      batch(40)
        .map(({ line }) => `${line}\n`)
        .join(''),
    )
    const refused = (): number => receiver.received.filter(({ body }) => body.length > 300).length
    const before = refused()
    await webhook.send(batch(40), signal)
    // It has learnt how much that is.
    expect(refused()).toBe(before)
    await expect(webhook.send(batch(1, 'x'.repeat(400)), signal)).rejects.toThrow('status 413')
  })

  it('that says no, or points elsewhere, has not taken it, and may say when to come again', async () => {
    const answers = [
      { status: 401 },
      { status: 503, headers: { 'retry-after': '7' } },
      { status: 307, headers: { location: 'http://127.0.0.1:1/' } },
    ]
    const receiver = await startReceiver(() => answers.shift() ?? { status: 204 })
    closing.push(() => receiver.close())
    const webhook = webhookAt(receiver.url)
    await expect(webhook.send(batch(1), signal)).rejects.toThrow('status 401')
    await expect(webhook.send(batch(1), signal)).rejects.toMatchObject({ retryAfterMs: 7_000 })
    await expect(webhook.send(batch(1), signal)).rejects.toThrow('redirects are not followed')
    await webhook.send(batch(1), signal)
  })
})

describe('a syslog server', () => {
  it('gets whole messages over TLS, and sees our certificate', async () => {
    const authority = await certify('authority', { isAuthority: true })
    const tls = await certify('localhost', { by: authority })
    const ours = await certify('pgwarden', { by: authority })
    const terms = { tls, clientAuthority: authority.certificate }
    const server = await StrictSyslog.start(terms)
    closing.push(() => server.stop())
    const client = { certificate: ours.certificate, key: new Secret(ours.key) }
    const sink = new SyslogSink({
      ...{ type: 'syslog', name: 'siem', host: 'localhost', port: server.port },
      tls: { ca: authority.certificate, client },
    })
    closing.push(() => sink.close())
    const sent = [...batch(2), ...batch(1, 'x'.repeat(60_000))]
    await sink.send(sent, signal)
    await eventually(async () => server.received.length === 3)
    expect(server.received.map(({ text }) => text)).toEqual(sent.map(({ line }) => `${line}`))
    expect(server.complaints).toEqual([])
  })

  it('that nobody vouches for gets nothing', async () => {
    const server = await StrictSyslog.start({ tls: await certify('localhost') })
    closing.push(() => server.stop())
    const tls = { ca: (await certify('other')).certificate, client: undefined }
    const settings = { type: 'syslog', name: 'siem', host: 'localhost', port: server.port } as const
    const sink = new SyslogSink({ ...settings, tls })
    await expect(sink.send(batch(1), signal)).rejects.toThrow('no connection')
    expect(server.received).toEqual([])
  })

  it('whose connection has broken is not taken to have what was written last', async () => {
    const server = await StrictSyslog.start()
    closing.push(() => server.stop())
    const settings = { type: 'syslog', name: 'siem', host: '127.0.0.1', port: server.port } as const
    const sink = new SyslogSink({ ...settings, tls: undefined })
    closing.push(() => sink.close())
    await sink.send(batch(1), signal)
    await sink.send([], signal)
    server.breakOff()
    await eventually(async () =>
      sink.send([], signal).then(
        () => false,
        () => true,
      ),
    )
    await sink.send(batch(2), signal)
    await eventually(async () => server.received.length >= 2)
    expect(server.connections).toBe(2)
  })
})
