// Which records somebody wants to read. A line that cannot match is passed over by a search for bytes,
// without being parsed: text stands in a record in exactly one way (json.ts), so that a value that is
// looked for must occur in the line as quote() writes it. Ignorant of files and of who asks.

import { quote } from './json.ts'
import { fieldsOf, isObject } from './line.ts'

export interface AuditFilter {
  /** `main`, `operator`: who wrote it. */
  readonly chain?: string
  /** A whole type, e.g. `grant.revoked`, or all below one: `grant`. */
  readonly type?: string
  /** Of whom it tells, or who did it. */
  readonly principal?: string
  readonly target?: string
  readonly role?: string
  readonly session?: string
  readonly grantId?: string
  readonly decision?: 'allow' | 'deny'
  /**
   * `schema.table`, or `table` in any schema; with `:read`, `:write` or `:maintain` behind it only where the
   * statement does that. What a statement names without a schema is found by `schema.table` too.
   */
  readonly relation?: string
  readonly fingerprint?: string
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
  const { chain, type, principal, target, role, session, grantId, decision, since, until } = filter
  const { fingerprint } = filter
  const exact = Object.entries({ target, role, grant: grantId, decision, fingerprint }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  const relation = filter.relation === undefined ? undefined : relationOf(filter.relation)
  const needles = exact.map(([name, value]) => `"${name}":${quote(value)}`)
  if (type !== undefined) needles.push(`"type":"${inside(type)}`)
  if (session !== undefined) needles.push(inside(session))
  if (principal !== undefined) needles.push(quote(principal))
  if (relation !== undefined) needles.push(inside(relation.table))
  const bytes = needles.map((needle) => Buffer.from(needle))
  const text = filter.text === undefined ? undefined : inside(filter.text).toLowerCase()

  return (standsIn, line) => {
    if (chain !== undefined && standsIn !== chain) return undefined
    if (!bytes.every((needle) => line.includes(needle))) return undefined
    if (text !== undefined && !line.toString().toLowerCase().includes(text)) return undefined
    const event = eventOf(standsIn, line)
    if (event === undefined) return undefined
    const at = Date.parse(event.time)
    const wanted =
      exact.every(([name, value]) => event[name] === value) &&
      (type === undefined || event.type === type || event.type.startsWith(`${type}.`)) &&
      (principal === undefined || event['principal'] === principal || event['by'] === principal) &&
      (session === undefined || belongsTo(session, event)) &&
      (relation === undefined || touches(relation, event)) &&
      (since === undefined || at >= since) &&
      (until === undefined || at < until)
    return wanted ? event : undefined
  }
}

interface WantedRelation {
  readonly name: string
  /** The last part of its name: in whatever form a statement wrote it, that stands in the record. */
  readonly table: string
  readonly access: string | undefined
}

/** What `--relation` takes. */
export const relationForm = /^[^:]{1,256}(:(read|write|maintain))?$/

function relationOf(wanted: string): WantedRelation {
  const [name = '', access] = wanted.split(':')
  return { name, table: name.slice(name.lastIndexOf('.') + 1), access }
}

function touches({ name, access }: WantedRelation, event: AuditEvent): boolean {
  const { relations, relationCount } = event
  // Of a statement with more than a record lists, the rest may be it: its name stands in the line.
  if (relationCount !== undefined) return true
  return (
    Array.isArray(relations) &&
    relations.some((each: unknown) => {
      const said = relationSaid(each)
      return (
        said !== undefined &&
        (access === undefined || said.access === access) &&
        (said.name === name || said.name.endsWith(`.${name}`) || name.endsWith(`.${said.name}`))
      )
    })
  )
}

function relationSaid(value: unknown): { name: string; access: unknown } | undefined {
  if (!isObject(value)) return undefined
  const { name, access } = value
  return typeof name === 'string' ? { name, access } : undefined
}

/** An outcome names its statement only, which has the session's id and a number. */
function belongsTo(session: string, { session: named, statement }: AuditEvent): boolean {
  return named === session || (typeof statement === 'string' && statement.startsWith(`${session}.`))
}

/** A line that is damaged is for `audit verify` to tell of; here it is none. */
function eventOf(chain: string, line: Buffer): AuditEvent | undefined {
  const { seq, time, type, ...fields } = fieldsOf(line)
  if (typeof seq !== 'number' || typeof time !== 'string' || typeof type !== 'string') {
    return undefined
  }
  return { chain, seq, time, type, ...fields }
}

function inside(text: string): string {
  return quote(text).slice(1, -1)
}
