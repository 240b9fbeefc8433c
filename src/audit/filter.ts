// Which records somebody wants to read. A line that cannot match is passed over by a search for bytes,
// without being parsed: text stands in a record in exactly one way (json.ts), so that a value that is
// looked for must occur in the line as quote() writes it. Ignorant of files and of who asks.

import { quote } from './json.ts'

export interface AuditFilter {
  /** A whole type, e.g. `grant.revoked`, or all below one: `grant`. */
  readonly type?: string
  readonly principal?: string
  readonly target?: string
  readonly session?: string
  readonly grantId?: string
  readonly decision?: 'allow' | 'deny'
  /** Milliseconds since the epoch; since is inclusive, until exclusive. */
  readonly since?: number
  readonly until?: number
  /** Anywhere in the record, in whatever case. */
  readonly text?: string
}

/** A record as its line has it, and the chain that it stands in. */
export interface AuditEvent {
  readonly chain: string
  readonly seq: number
  readonly time: string
  readonly type: string
  readonly [field: string]: unknown
}

/** Reads the lines of a chain that the filter lets through; undefined for all others. */
export type AuditReading = (chain: string, line: Buffer) => AuditEvent | undefined

export function auditReading(filter: AuditFilter): AuditReading {
  const { type, principal, target, session, grantId, decision, since, until } = filter
  const exact = Object.entries({ principal, target, grant: grantId, decision }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  const needles = exact.map(([name, value]) => Buffer.from(`"${name}":${quote(value)}`))
  if (type !== undefined) needles.push(Buffer.from(`"type":"${inside(type)}`))
  if (session !== undefined) needles.push(Buffer.from(inside(session)))
  const text = filter.text === undefined ? undefined : inside(filter.text).toLowerCase()

  return (chain, line) => {
    if (!needles.every((needle) => line.includes(needle))) return undefined
    if (text !== undefined && !line.toString().toLowerCase().includes(text)) return undefined
    const event = eventOf(chain, line)
    if (event === undefined) return undefined
    const at = Date.parse(event.time)
    const wanted =
      exact.every(([name, value]) => event[name] === value) &&
      (type === undefined || event.type === type || event.type.startsWith(`${type}.`)) &&
      (session === undefined || belongsTo(session, event)) &&
      (since === undefined || at >= since) &&
      (until === undefined || at < until)
    return wanted ? event : undefined
  }
}

/** An outcome names its statement only, which has the session's id and a number. */
function belongsTo(session: string, { session: named, statement }: AuditEvent): boolean {
  return named === session || (typeof statement === 'string' && statement.startsWith(`${session}.`))
}

/** A line that is damaged is for `audit verify` to tell of; here it is none. */
function eventOf(chain: string, line: Buffer): AuditEvent | undefined {
  let value: unknown
  try {
    value = JSON.parse(line.toString())
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { seq, time, type, ...fields }: Readonly<Record<string, unknown>> = { ...value }
  if (typeof seq !== 'number' || typeof time !== 'string' || typeof type !== 'string') {
    return undefined
  }
  return { chain, seq, time, type, ...fields }
}

function inside(text: string): string {
  return quote(text).slice(1, -1)
}
