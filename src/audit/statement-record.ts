// The records of a statement: the intent that is stored before it is forwarded, and the outcome. They are
// made once for each statement, so all that hangs on its judgement alone is serialised once and a record
// is a few concatenations. Every part has its bound, and together they stay below 64 KiB.
// docs/audit.md lists the fields. Ignorant of sessions' states, and of storage.

import type { Decision, Judgement } from '../policy/decision.ts'
import type { RelationUse } from '../sql/facts.ts'
import { milliseconds, nameLimit, quoteWithin, type TextFields, textFields } from './json.ts'
import { type Parameters, parametersField } from './parameters-record.ts'
import { perJudgement } from './per-judgement.ts'
import type { SessionContext } from './record.ts'
import { modeOfCaller, recordedReason, recordedText } from './recorded-text.ts'
import type { Recording } from './recording.ts'
import { type Run, runsField } from './runs-record.ts'
import type { OverflowText } from './storage.ts'

/**
 * How the statement came. `functionCall` is the message of that name; its text is the SQL that it stands
 * for, and empty where nobody knows one.
 */
export type StatementProtocol = 'simple' | 'extended' | 'functionCall'

export interface Statement {
  /** Counts the session's statements: with the session's id it is the record's, which the outcome repeats. */
  readonly number: number
  readonly protocol: StatementProtocol
  readonly judgement: Judgement
  /** Not the judgement's own where the session knew more, e.g. that the grant has ended since. */
  readonly decision: Decision
  /** The session's, as it was last heard of. */
  readonly transaction: 'idle' | 'open' | 'failed'
  /** Of the message that it came by. */
  readonly bytesIn: number
  /** Undefined where none are recorded, or none belong to it. */
  readonly parameters: Parameters | undefined
  /** The number of the session's first statement with this long text. */
  readonly repeats: number | undefined
  /** What its EXECUTE and FETCH run. */
  readonly runs: readonly Run[]
}

export interface StatementRecord {
  readonly fields: string
  /** Texts that are too long for it. */
  readonly overflow: readonly OverflowText[]
}

type Mode = Recording['text']

/** The intent: written before the statement is forwarded. */
export function statementRecord(
  context: SessionContext,
  mode: Mode,
  statement: Statement,
): StatementRecord {
  const { judgement, decision, repeats, runs, parameters } = statement
  const { id } = context
  const called = runs.map((each) => each.judgement)
  const shown = modeOfCaller(judgement, called, mode)
  const known = knownOf(judgement, shown)
  const text =
    repeats === undefined
      ? known.text
      : `${repeatedTextOf(judgement, shown)},"textIn":"${id}.${repeats}"`
  const fields =
    `"type":"statement","id":"${id}.${statement.number}",${context.fields}` +
    `,"protocol":"${statement.protocol}","transaction":"${statement.transaction}"` +
    `,"bytesIn":${statement.bytesIn}${text}${known.kind}`
  const decided =
    decision === judgement.decision ? known.decision : describeDecision(judgement, decision, mode)
  if (runs.length === 0) {
    return {
      fields: fields + known.relations + decided + parametersField(parameters, known.redacted),
      overflow: repeats === undefined ? known.overflow : none,
    }
  }
  const run = runsField(id, mode, runs)
  const all = [judgement, ...called]
  return {
    fields:
      fields +
      relationsField(all) +
      decided +
      parametersField(parameters, known.redacted || run.redacted) +
      run.field,
    overflow: [...(repeats === undefined ? known.overflow : none), ...run.overflow],
  }
}

/**
 * In characters. Longer texts stand in the session's first record of them; later ones give the beginning, the
 * hash, and where the rest is. A client could otherwise fill the journal's disk with 16 KiB for each 25 bytes
 * of Bind and Execute.
 */
const longText = 1024
/** Of a text, in bytes as quoted; the rest goes beside the record. */
export const textLimit = 16 * 1024

/** Whether a session's later records of this text only say where it stands. */
export function isLong(judgement: Judgement, mode: Mode): boolean {
  return (recordedText(judgement, mode).text?.length ?? 0) > longText
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
  /** Bytes of COPY data that came from the client. */
  readonly bytesIn: number
  /** Bytes of the answer that went to the client. */
  readonly bytes: number
  /** From the intent to the end. */
  readonly durationMs: number
  /** The part of it before the intent was stored, and the part after; undefined: it never was. */
  readonly auditMs: number | undefined
  readonly upstreamMs: number | undefined
  /** What judging took, before the intent. */
  readonly policyMs: number
  readonly sqlstate: string | undefined
  /** The upstream's, where it may be shown. */
  readonly message: string | undefined
}

/** How the statement of this number ended. Says only what its statement record could not. */
export function outcomeRecord(context: SessionContext, number: number, outcome: Outcome): string {
  const { command, rows, bytesIn, sqlstate, message, auditMs, upstreamMs } = outcome
  return (
    `"type":"outcome","statement":"${context.id}.${number}","result":"${outcome.result}"` +
    (command === undefined ? '' : `,"command":${quoteWithin(command, nameLimit)}`) +
    (rows === undefined ? '' : `,"rows":${rows}`) +
    (bytesIn === 0 ? '' : `,"bytesIn":${bytesIn}`) +
    `,"bytes":${outcome.bytes},"durationMs":${milliseconds(outcome.durationMs)}` +
    `,"policyMs":${milliseconds(outcome.policyMs)}` +
    (auditMs === undefined ? '' : `,"auditMs":${milliseconds(auditMs)}`) +
    (upstreamMs === undefined ? '' : `,"upstreamMs":${milliseconds(upstreamMs)}`) +
    (sqlstate === undefined ? '' : `,"sqlstate":${quoteWithin(sqlstate, nameLimit)}`) +
    (message === undefined ? '' : `,"message":${quoteWithin(message, messageLimit)}`)
  )
}

const none: readonly never[] = []
/** In bytes as quoted, like the others. */
const messageLimit = 1024
const reasonLimit = 4096
const relationLimit = 160
const mostRelations = 64
/** A query string of a megabyte can hold ten thousand statements. */
const mostTags = 64
const tagLimit = 64

/** What is the same in all records of a judgement. Each part that is not empty begins with a comma. */
interface Known {
  readonly text: string
  readonly overflow: readonly OverflowText[]
  readonly redacted: boolean
  readonly kind: string
  readonly relations: string
  readonly decision: string
}

const knownOf = perJudgement((judgement, mode): Known => {
  const { text, fingerprint, redacted } = recordedText(judgement, mode)
  const shown: TextFields | undefined = text === undefined ? undefined : textFields(text, textLimit)
  return {
    text: shown === undefined ? '' : `,${shown.fields}`,
    overflow: shown?.overflow === undefined ? none : [shown.overflow],
    redacted,
    kind:
      (fingerprint === undefined ? '' : `,"fingerprint":"${fingerprint}"`) +
      (redacted ? ',"redacted":true' : '') +
      describeKind(judgement),
    relations: relationsField([judgement]),
    decision: describeDecision(judgement, judgement.decision, mode),
  }
})

const repeatedTextOf = perJudgement((judgement, mode): string => {
  const { text } = recordedText(judgement, mode)
  return text === undefined ? '' : `,${textFields(text, longText).fields}`
})

function describeKind({ tags, class: kind }: Judgement): string {
  const kept = tags.slice(0, mostTags).map((tag) => quoteWithin(tag, tagLimit))
  const count = tags.length > mostTags ? `,"tagCount":${tags.length}` : ''
  return `,"tags":[${kept.join(',')}]${count},"class":"${kind}"`
}

/** Of all of them together, each once. What EXECUTE runs touches its relations too. */
function relationsField(judgements: readonly Judgement[]): string {
  const all: string[] = []
  for (const { analysis } of judgements) {
    if (analysis.type !== 'parsed') continue
    for (const { relations } of analysis.statements) {
      for (const relation of relations) all.push(describeRelation(relation))
    }
  }
  if (all.length === 0) return ''
  const each = all.length === 1 ? all : [...new Set(all)]
  const count = each.length > mostRelations ? `,"relationCount":${each.length}` : ''
  return `,"relations":[${each.slice(0, mostRelations).join(',')}]${count}`
}

function describeRelation({ schema, name, access }: RelationUse): string {
  const full = schema === undefined ? name : `${schema}.${name}`
  return `{"name":${quoteWithin(full, relationLimit)},"access":"${access}"}`
}

function describeDecision(judgement: Judgement, decision: Decision, mode: Mode): string {
  return (
    `,"decision":"${decision.outcome}","rule":${quoteWithin(decision.rule, nameLimit)}` +
    `,"reason":${quoteWithin(recordedReason(judgement, decision, mode), reasonLimit)}`
  )
}
