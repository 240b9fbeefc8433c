// What a record is: for each type a function that makes its fields, the text that Journal.append puts
// between a line's number and its hash. Everything here runs once for each statement, so what does not
// change is serialised once and a record is a few concatenations. docs/audit.md lists the fields.
// Ignorant of sequence, time, chain and storage.

import type { Decision, Judgement } from '../policy/decision.ts'
import { clip, quote, textFields } from './json.ts'

/** Who a session is. Every statement record carries all of it, so that a line can be read alone. */
export interface SessionFacts {
  readonly session: string
  readonly principal: string
  readonly grant: string
  readonly requestId: string | undefined
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
}

/** SessionFacts, serialised once. Make it anew when the application name changes. */
export interface SessionContext {
  /** The session id, escaped, without quotes. */
  readonly id: string
  /** `"session":...` and so on, without braces. */
  readonly fields: string
}

export function sessionContext(facts: SessionFacts): SessionContext {
  const fields = [
    `"session":${quote(facts.session)}`,
    `"principal":${quote(facts.principal)}`,
    `"grant":${quote(facts.grant)}`,
    ...(facts.requestId === undefined ? [] : [`"requestId":${quote(facts.requestId)}`]),
    `"role":${quote(facts.role)}`,
    `"target":${quote(facts.target)}`,
    `"databaseRole":${quote(facts.databaseRole)}`,
    `"lease":${quote(facts.lease)}`,
    `"client":${quote(facts.client)}`,
    `"application":${quote(facts.application)}`,
  ]
  return { id: quote(facts.session).slice(1, -1), fields: fields.join(',') }
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
    `"type":"session.end",${context.fields},"reason":${quote(end.reason)}` +
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
    `"type":"session.tripwire",${context.fields},"setting":${quote(setting)}` +
    `,"expected":${quote(expected)},"got":${quote(clip(got, claimLimit))},"statements":${statements}`
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
    `"type":"login","result":"${login.result}"${optional('reason', login.reason)}` +
    `,"principal":${quote(clip(login.principal, claimLimit))}` +
    `,"target":${quote(clip(login.target, claimLimit))}` +
    `,"client":${quote(login.client)}${certificateField(login.certificate)}` +
    optional('token', login.tokenId) +
    optional('session', login.session) +
    (count === 1 ? '' : `,"count":${count}`)
  )
}

/**
 * How the statement came. `functionCall` is the message of that name; its text is the SQL that it stands
 * for, and empty where nobody knows one.
 */
export type StatementProtocol = 'simple' | 'extended' | 'functionCall'

/**
 * The intent: written before the statement is forwarded. `number` counts the session's statements;
 * with the session id it is the record's id, which the outcome repeats. `decision` differs from the
 * judgement's own where the session knew more, e.g. that the grant has ended since. `repeats` is the
 * number of the session's first statement with this long text.
 */
export function statementRecord(
  context: SessionContext,
  number: number,
  protocol: StatementProtocol,
  judgement: Judgement,
  decision: Decision = judgement.decision,
  repeats?: number,
): string {
  const text =
    repeats === undefined
      ? remembered(judgementFields, judgement, describeJudgement)
      : `${remembered(repeatedFields, judgement, describeRepeated)},"textIn":"${context.id}.${repeats}"`
  return (
    `"type":"statement","id":"${context.id}.${number}",${context.fields},"protocol":"${protocol}",` +
    `${text},${remembered(decisionFields, decision, describeDecision)}`
  )
}

/**
 * In characters. Longer texts stand whole in the session's first record of them; later ones give the beginning, the
 * hash, and where the whole is. A client could otherwise fill the journal's disk with a megabyte for
 * each 25 bytes of Bind and Execute.
 */
export const longText = 1024

/** What a prepared statement that an EXECUTE names stands for, or a cursor that a FETCH does. */
export interface Run {
  readonly judgement: Judgement
  /** The number of the session's first statement with this long text. */
  readonly repeats: number | undefined
}

/** Behind a statement record: what its EXECUTE runs, and its FETCH. */
export function runsField(context: SessionContext, runs: readonly Run[]): string {
  if (runs.length === 0) return ''
  const texts = runs.map(({ judgement, repeats }) =>
    repeats === undefined
      ? `{${textFields(judgement.text)}}`
      : `{${remembered(repeatedRunFields, judgement, describeRepeatedRun)},"textIn":"${context.id}.${repeats}"}`,
  )
  return `,"runs":[${texts.join(',')}]`
}

/**
 * `ok`, `error`: the upstream said so. `suspended`: a portal was given up with rows left.
 * `unexecuted`: a portal was bound, which plans the statement, and never executed. `skipped`: the
 * upstream passed over it after an earlier error. `unknown`: the session ended before the answer.
 */
export type OutcomeResult = 'ok' | 'error' | 'suspended' | 'unexecuted' | 'skipped' | 'unknown'

export interface Outcome {
  readonly result: OutcomeResult
  /** The upstream's command tag, e.g. `INSERT`. */
  readonly command: string | undefined
  readonly rows: number | undefined
  /** Bytes of the answer that went to the client. */
  readonly bytes: number
  readonly durationMs: number
  readonly sqlstate: string | undefined
}

/** How the statement of this number ended. Says only what its statement record could not. */
export function outcomeRecord(context: SessionContext, number: number, outcome: Outcome): string {
  return (
    `"type":"outcome","statement":"${context.id}.${number}","result":"${outcome.result}"` +
    optional('command', outcome.command) +
    (outcome.rows === undefined ? '' : `,"rows":${outcome.rows}`) +
    `,"bytes":${outcome.bytes},"durationMs":${milliseconds(outcome.durationMs)}` +
    optional('sqlstate', outcome.sqlstate)
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
    `"type":"cancel","result":"${cancel.result}","client":${quote(clip(cancel.client, claimLimit))}` +
    optional('session', cancel.session) +
    optional('askedBy', cancel.askedBy) +
    optional('takenBy', cancel.takenBy) +
    (count === 1 ? '' : `,"count":${count}`)
  )
}

/** `instance` names the process to others that share its store. */
export function proxyStartRecord(version: string, instance: string): string {
  return `"type":"proxy.start","version":${quote(version)},"instance":${quote(instance)}`
}

export function proxyStopRecord(reason: string): string {
  return `"type":"proxy.stop","reason":${quote(reason)}`
}

/** A stranger may claim a name as long as a startup packet. */
const claimLimit = 256
const reasonLimit = 4096
/** A query string of 5 KB can run four hundred prepared statements. */
const runStart = 64
/** And one of a megabyte can hold ten thousand statements. */
const tagLimit = 64

// Judgements and decisions are immutable and live as long as they are remembered elsewhere.
const judgementFields = new WeakMap<Judgement, string>()
const repeatedFields = new WeakMap<Judgement, string>()
const repeatedRunFields = new WeakMap<Judgement, string>()
const decisionFields = new WeakMap<Decision, string>()

function describeJudgement(judgement: Judgement): string {
  return `${textFields(judgement.text)},${describeKind(judgement)}`
}

function describeRepeated(judgement: Judgement): string {
  return `${textFields(judgement.text, longText)},${describeKind(judgement)}`
}

function describeRepeatedRun({ text }: Judgement): string {
  return textFields(text, runStart)
}

function describeKind(judgement: Judgement): string {
  const { tags } = judgement
  const kept = tags.slice(0, tagLimit).map(quote).join(',')
  const count = tags.length > tagLimit ? `,"tagCount":${tags.length}` : ''
  return `"tags":[${kept}]${count},"class":"${judgement.class}"`
}

function describeDecision(decision: Decision): string {
  return (
    `"decision":"${decision.outcome}","rule":${quote(decision.rule)}` +
    `,"reason":${quote(clip(decision.reason, reasonLimit))}`
  )
}

function remembered<Key extends object>(
  memo: WeakMap<Key, string>,
  key: Key,
  describe: (key: Key) => string,
): string {
  let fields = memo.get(key)
  if (fields === undefined) {
    fields = describe(key)
    memo.set(key, fields)
  }
  return fields
}

function optional(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quote(value)}`
}

function certificateField(certificate: ClientCertificate | undefined): string {
  if (certificate === undefined) return ''
  const subject = quote(clip(certificate.subject, claimLimit))
  return `,"certificate":{"subject":${subject},"sha256":"${certificate.sha256}"}`
}

/** Microseconds are as fine as anybody can measure here. */
function milliseconds(duration: number): number {
  return Math.round(duration * 1000) / 1000
}
