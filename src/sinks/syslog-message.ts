// A record as a syslog message: RFC 5424, cut off from the next by its length (octet counting, RFC 6587,
// 3.4.1, and RFC 5425, 4.3). Ignorant of connections.

import type { Shipment } from '../audit/outbox.ts'

/** RFC 5424, 6.2.1: log audit. */
const facility = 13
const severities = { warning: 4, notice: 5, informational: 6 } as const

/** RFC 5424, 6.4: a message in UTF-8 begins with it, whether it holds more than ASCII or not. */
const byteOrderMark = Buffer.from('\ufeff')

const printable = /[^!-~]/g

/** Who is speaking, as every message says it. */
export interface Speaker {
  readonly host: string
  readonly processId: number
}

/**
 * The structured data hold only an element that IANA has registered: a name of our own would need a
 * private enterprise number, and none is ours (6.3.2). All else is in the message: the journal's line.
 */
export function syslogFrame(shipment: Shipment, { host, processId }: Speaker): Buffer {
  const priority = facility * 8 + severities[severityOf(shipment)]
  const name = host.replace(printable, '').slice(0, 255) || '-'
  const id = shipment.type.replace(printable, '').slice(0, 32) || '-'
  const head = Buffer.from(
    `<${priority}>1 ${shipment.time} ${name} pgwarden ${processId} ${id} [origin software="pgwarden"] `,
  )
  const length = head.length + byteOrderMark.length + shipment.line.length
  return Buffer.concat([Buffer.from(`${length} `), head, byteOrderMark, shipment.line])
}

/** Quotes within a value are escaped in JSON, so that no text of a client's can look like a member. */
const refusals = ['"decision":"deny"', '"result":"refused"'].map((member) => Buffer.from(member))
const alarms: ReadonlySet<string> = new Set([
  'session.tripwire',
  'lease.problem',
  'login.locked',
  'journal.lost',
  'change.undone',
])
/** What there are many of, and nobody looks at one by one. */
const everyday: ReadonlySet<string> = new Set(['outcome', 'journal.checkpoint', 'journal.check'])

function severityOf({ type, line }: Shipment): keyof typeof severities {
  if (alarms.has(type) || refusals.some((member) => line.includes(member))) return 'warning'
  return type === 'statement' || everyday.has(type) ? 'informational' : 'notice'
}
