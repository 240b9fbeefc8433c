// What a syslog server reads.

import { describe, expect, it } from 'vitest'
import type { Shipment } from '../../src/audit/outbox.ts'
import { syslogFrame } from '../../src/sinks/syslog-message.ts'

const speaker = { host: 'proxy1.example', processId: 4711 }

function shipment(type: string, fields: string): Shipment {
  const line = Buffer.from(`{"seq":7,"type":"${type}",${fields},"hash":"00"}`)
  const time = '2026-01-02T03:04:05.678901Z'
  return { chain: 'main', sequence: 7, event: 'k7c2m0q4x9aabbcc-7', time, type, line }
}

const priorityOf = (type: string, fields: string): string =>
  /<(\d+)>/.exec(syslogFrame(shipment(type, fields), speaker).toString())?.[1] ?? ''

describe('a syslog message', () => {
  it('is the line of the journal in UTF-8 behind a header, and says its length in bytes', () => {
    const sent = shipment('login', '"result":"ok","principal":"jürgen"')
    const frame = syslogFrame(sent, speaker)
    const space = frame.indexOf(' ')
    const message = frame.subarray(space + 1)
    expect(Number(frame.toString('latin1', 0, space))).toBe(message.length)
    expect(message.toString()).toBe(
      `<109>1 2026-01-02T03:04:05.678901Z proxy1.example pgwarden 4711 login [origin software="pgwarden"] \ufeff${sent.line}`,
    )
  })

  it('is a warning when something was refused or is wrong, and no text of a client can make it one', () => {
    const facility = 13 * 8
    expect(priorityOf('statement', '"decision":"deny"')).toBe(`${facility + 4}`)
    expect(priorityOf('login', '"result":"refused"')).toBe(`${facility + 4}`)
    expect(priorityOf('session.tripwire', '"setting":"role"')).toBe(`${facility + 4}`)
    const text = JSON.stringify('SELECT \'"decision":"deny"\'')
    expect(priorityOf('statement', `"text":${text},"decision":"allow"`)).toBe(`${facility + 6}`)
    expect(priorityOf('grant.revoked', '"by":{}')).toBe(`${facility + 5}`)
  })

  it("keeps to one line of fields whatever the machine's name is", () => {
    const named = { ...speaker, host: 'my machine\n<1>' }
    expect(syslogFrame(shipment('login', '"x":1'), named).toString()).toContain(
      ' mymachine<1> pgwarden ',
    )
  })
})
