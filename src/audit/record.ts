// What a record is: for each type a function that makes its fields, the text that Journal.append puts
// between a line's number and its hash; here those of sessions, logins, cancels and of the proxy itself.
// Each is bounded, whatever comes in. docs/audit.md lists the fields. Ignorant of sequence, time, chain
// and storage; statement-record.ts and change-record.ts have the others.

import { listField, milliseconds, nameField, nameLimit, quoteWithin } from './json.ts'

/** Who a session is. Every statement record carries all of it, so that a line can be read alone. */
export interface SessionFacts {
  readonly session: string
  readonly principal: string
  /** The principal's when it asked for the access; undefined where nobody has said. */
  readonly groups: readonly string[] | undefined
  readonly grant: string
  readonly requestId: string | undefined
  /** Why the grant was asked for, or given. */
  readonly requestReason: string
  readonly role: string
  readonly target: string
  /** The database role that the upstream session runs as. */
  readonly databaseRole: string
  /** The lease of its login: as Vault calls it where it comes from there, else as pgwarden does. */
  readonly lease: string
  /** `address:port` of the client. */
  readonly client: string
  /** What the client calls itself; its own claim. */
  readonly application: string
  /** The version of the client's TLS, e.g. `TLSv1.3`. */
  readonly tls: string | false
}

/** SessionFacts, serialised once. Make it anew when the application name changes. */
export interface SessionContext {
  /** The session id, escaped, without quotes. */
  readonly id: string
  /** `"session":...` and so on, without braces. */
  readonly fields: string
}

export function sessionContext(facts: SessionFacts): SessionContext {
  const { session, groups, requestId, tls } = facts
  const fields = [
    nameField('session', session),
    nameField('principal', facts.principal),
    ...(groups === undefined ? [] : [listField('groups', 'groupCount', groups, groupLimits)]),
    nameField('grant', facts.grant),
    ...(requestId === undefined ? [] : [nameField('requestId', requestId)]),
    nameField('requestReason', facts.requestReason),
    nameField('role', facts.role),
    nameField('target', facts.target),
    nameField('databaseRole', facts.databaseRole),
    nameField('lease', facts.lease, leaseLimit),
    nameField('client', facts.client),
    nameField('application', facts.application),
    `"tls":${tls === false ? tls : quoteWithin(tls, nameLimit)}`,
  ]
  return { id: quoteWithin(session, nameLimit).slice(1, -1), fields: fields.join(',') }
}

/** What a client has proved to be, by a certificate of an authority that is trusted. */
export interface ClientCertificate {
  /** The distinguished name as RFC 2253 writes it: `CN=alice,O=Example`. */
  readonly subject: string
  /** SHA-256 of the DER, in lower-case hexadecimal. */
  readonly sha256: string
}

export function sessionStartRecord(
  context: SessionContext,
  certificate: ClientCertificate | undefined,
): string {
  return `"type":"session.start",${context.fields}${certificateField(certificate)}`
}

export interface SessionEnd {
  /** Why it ended, in the words of docs/audit.md: `client_terminated`, `ended: ...`. */
  readonly reason: string
  readonly statements: number
  readonly durationMs: number
  readonly bytesFromClient: number
  readonly bytesToClient: number
}

export function sessionEndRecord(context: SessionContext, end: SessionEnd): string {
  return (
    `"type":"session.end",${context.fields},"reason":${quoteWithin(end.reason, reasonLimit)}` +
    `,"statements":${end.statements},"durationMs":${milliseconds(end.durationMs)}` +
    `,"bytesFromClient":${end.bytesFromClient},"bytesToClient":${end.bytesToClient}`
  )
}

/** A pinned setting that the upstream reports with another value: something got round the policy. */
export interface Tripwire {
  readonly setting: string
  readonly expected: string
  readonly got: string
}

/** `statements` are those up to now: the last few are what to look at. */
export function tripwireRecord(
  context: SessionContext,
  { setting, expected, got }: Tripwire,
  statements: number,
): string {
  return (
    `"type":"session.tripwire",${context.fields},"setting":${quoteWithin(setting, nameLimit)}` +
    `,"expected":${quoteWithin(expected, nameLimit)},"got":${quoteWithin(got, nameLimit)}` +
    `,"statements":${statements}`
  )
}

export interface Login {
  readonly result: 'ok' | 'refused'
  /** The true reason of a refusal, which the client is not told. */
  readonly reason: string | undefined
  /** What the client asked for; of a refused login these are claims. */
  readonly principal: string
  readonly target: string
  readonly client: string
  readonly certificate: ClientCertificate | undefined
  /** The public half of the token, where one could be read. Never the secret half. */
  readonly tokenId: string | undefined
  /** The session that began with it. */
  readonly session: string | undefined
  /** How many of the same reason this one stands for, itself included. Default 1. */
  readonly count?: number
}

export function loginRecord(login: Login): string {
  const { count = 1 } = login
  return (
    `"type":"login","result":"${login.result}"${optional('reason', login.reason, reasonLimit)}` +
    `,"principal":${quoteWithin(login.principal, nameLimit)}` +
    `,"target":${quoteWithin(login.target, nameLimit)}` +
    `,"client":${quoteWithin(login.client, nameLimit)}${certificateField(login.certificate)}` +
    optional('token', login.tokenId) +
    optional('session', login.session) +
    (count === 1 ? '' : `,"count":${count}`)
  )
}

/**
 * `sent` upstream; `idle`: the session ran nothing; `held`: what was meant had not been sent yet, and is
 * not; `failed`: the upstream was not reached; `passed`: another process has the session; `unknown`: no
 * session has that key; `limited`: too many wrong keys came from there, and this one was not looked up.
 */
export type CancelResult = 'sent' | 'idle' | 'held' | 'failed' | 'passed' | 'unknown' | 'limited'

export interface Cancel {
  readonly result: CancelResult
  readonly client: string
  readonly session: string | undefined
  /** The process that was asked, or has answered, where two are concerned. */
  readonly askedBy?: string
  readonly takenBy?: string
  /** How many there were since the last such record, where not each has one; `client` is the last. */
  readonly count?: number
}

export function cancelRecord(cancel: Cancel): string {
  const { count = 1 } = cancel
  return (
    `"type":"cancel","result":"${cancel.result}","client":${quoteWithin(cancel.client, nameLimit)}` +
    optional('session', cancel.session) +
    optional('askedBy', cancel.askedBy) +
    optional('takenBy', cancel.takenBy) +
    (count === 1 ? '' : `,"count":${count}`)
  )
}

/** `instance` names the process to others that share its store; `configuration`: SHA-256 of the file. */
export function proxyStartRecord(version: string, instance: string, configuration: string): string {
  return (
    `"type":"proxy.start","version":${quoteWithin(version, nameLimit)}` +
    `,"instance":${quoteWithin(instance, nameLimit)},"configuration":"${configuration}"`
  )
}

export function proxyStopRecord(reason: string): string {
  return `"type":"proxy.stop","reason":${quoteWithin(reason, reasonLimit)}`
}

/** Of a reason, in bytes as quoted. */
const reasonLimit = 1024
/** A name of Vault's, with the paths that lead to it. */
const leaseLimit = 512
const groupLimits = { items: 16, bytes: 2048 }

function optional(name: string, value: string | undefined, limit = nameLimit): string {
  return value === undefined ? '' : `,"${name}":${quoteWithin(value, limit)}`
}

function certificateField(certificate: ClientCertificate | undefined): string {
  if (certificate === undefined) return ''
  const subject = quoteWithin(certificate.subject, nameLimit)
  return `,"certificate":{"subject":${subject},"sha256":"${certificate.sha256}"}`
}
