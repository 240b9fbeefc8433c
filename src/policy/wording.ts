// What a client, an auditor and an operator read about a denial: PostgreSQL's own primary message, the
// rule and what met it as DETAIL, the way to more as HINT. One place, so that the sentences agree.
// Style: PostgreSQL documentation, "Error Message Style Guide".

import { Failure, type FailureCode, type FailureText } from '../errors.ts'
import type { SettingChange, Unparsable } from '../sql/facts.ts'
import { unknownSetting } from '../sql/settings.ts'
import type { Deny, RuleName } from './decision.ts'
import type { Guard, Objection, SettingProblem } from './objection.ts'
import type { CatalogPower } from './roles.ts'

interface Wording {
  readonly rule: RuleName
  /** What was refused, as the primary message names it. */
  readonly subject: string
  /** The same in its place, for the audit record. */
  readonly reason: string
  /** Completes "Rule R does not allow ...". */
  readonly detail: string
}

/** How to be allowed what was denied. */
export type WayToMore =
  /** The least role that would allow it all. */
  | { readonly type: 'role'; readonly role: string }
  /** The same role, by a grant that is for these relations too. */
  | { readonly type: 'grant'; readonly role: string }
  | { readonly type: 'none' }

export function denial(
  role: string,
  objection: Objection,
  way: WayToMore,
  code: FailureCode = 'statement_denied',
): Deny {
  const { rule, subject, reason, detail } = wordingOf(objection)
  return {
    outcome: 'deny',
    rule: `${role}/${rule}`,
    reason,
    failure: new Failure(code, {
      message: `permission denied for role ${role}: ${subject}`,
      detail: `Rule ${role}/${rule} does not allow ${detail}.`,
      hint: adviceOf(way),
    }),
  }
}

function wordingOf(objection: Objection): Wording {
  switch (objection.type) {
    case 'opaque': {
      const { tag, why } = objection
      const detail = `${tag}, because what it does cannot be told: ${why}`
      return { rule: 'opaque', subject: tag, reason: `${tag}: ${why}`, detail }
    }
    case 'command': {
      const { command, where } = objection
      const place = where === 'top level' ? 'at top level' : `in ${where}`
      const reason = where === 'top level' ? command : `${command} ${place}`
      return { rule: 'commands', subject: command, reason, detail: `${command}, found ${place}` }
    }
    case 'catalog': {
      const { relation, needs } = objection
      const subject = `relation ${qualified(relation.schema, relation.name)}`
      const why = catalogReasons[needs]
      return {
        rule: 'relations',
        subject,
        reason: `${subject}: ${why}`,
        detail: `${why}: ${subject}`,
      }
    }
    case 'relation': {
      const { relation, why } = objection
      const subject = `relation ${qualified(relation.schema, relation.name)}`
      const verb = relation.access === 'write' ? 'writing' : 'reading'
      const detail = `${verb} ${subject}: ${why}`
      return { rule: 'relations', subject, reason: detail, detail }
    }
    case 'unseen': {
      const { subject, why, guards } = objection
      const rule = guards === 'context' ? 'context' : 'relations'
      const detail = `${subject}, because ${why}, and ${guarded[guards]}`
      return { rule, subject, reason: detail, detail }
    }
    case 'function': {
      const { use, kind } = objection
      const subject = `function ${qualified(use.schema, use.name)}`
      const what = kind === 'unknown' ? 'user-defined or unknown' : kind
      const notation = use.notation === 'call' ? '' : `, called in ${use.notation} notation`
      const detail = `${subject} (${what})${notation}`
      return { rule: 'functions', subject, reason: detail, detail }
    }
    case 'carrier': {
      const { what, use, carrier } = objection.carrier
      const subject = `${what} ${qualified(use.schema, use.name)}`
      const detail = `${subject}, which runs function ${carrier.runs}: ${carrier.because}`
      return { rule: 'functions', subject, reason: detail, detail }
    }
    case 'setting': {
      const { change, why } = objection
      const subject = `setting ${settingSubject(change)}`
      const detail = `${described(change)}${settingReasons[why]}`
      return { rule: 'settings', subject, reason: detail, detail }
    }
  }
}

/** A text that could not be read is refused to every role. */
export function unreadable(role: string, analysis: Unparsable): Deny {
  const rule = `${role}/parse`
  return {
    outcome: 'deny',
    rule,
    reason: analysis.message,
    failure: new Failure(analysis.code, {
      message: analysis.message,
      ...adviceOn(analysis),
    }),
  }
}

export function unknownPreparedStatement(role: string, name: string): Deny {
  const rule = `${role}/prepared`
  return {
    outcome: 'deny',
    rule,
    reason: `EXECUTE of "${name}", which was not prepared in this session`,
    failure: new Failure('statement_denied', {
      message: `permission denied for role ${role}: EXECUTE`,
      detail: `Rule ${rule} does not allow EXECUTE of "${name}": it was not prepared in this session, so what it does is not known.`,
      hint: `Run PREPARE "${name}" AS ... in this session first.`,
    }),
  }
}

export function preparedTooDeep(role: string): Deny {
  const message = 'EXECUTE of prepared statements that EXECUTE others goes too deep'
  return {
    outcome: 'deny',
    rule: `${role}/prepared`,
    reason: message,
    failure: new Failure('statement_too_complex', {
      message,
      hint: 'Execute the innermost prepared statement itself.',
    }),
  }
}

/** The protocol's FunctionCall message, of another function than libpq's for large objects. */
export function functionCallMessage(role: string, oid: number): Deny {
  const rule = `${role}/protocol`
  return {
    outcome: 'deny',
    rule,
    reason: `FunctionCall message of function ${oid}`,
    failure: new Failure('statement_denied', {
      message: `permission denied for role ${role}: function call message`,
      detail: `Rule ${rule} does not allow the protocol's FunctionCall message for the function with OID ${oid}: there is no statement to judge.`,
      hint: 'Call the function in a SELECT.',
    }),
  }
}

/** Code of the database's own may have changed how the server reads text, and it has not said so yet. */
export function textBehindUserCode(role: string): Deny {
  const rule = `${role}/protocol`
  return {
    outcome: 'deny',
    rule,
    reason: 'text with a backslash or non-ASCII characters behind user code in the same Sync group',
    failure: new Failure('statement_denied', {
      message: `permission denied for role ${role}: statement behind user code in the same pipeline`,
      detail: `Rule ${rule} does not allow a statement with a backslash or non-ASCII characters behind one that runs user-defined code, before a Sync: that code may have changed how the server reads it.`,
      hint: 'Send Sync, and then this statement.',
    }),
  }
}

export function unknownRole(role: string): Deny {
  return {
    outcome: 'deny',
    rule: `${role}/undefined`,
    reason: `role ${role} is not defined`,
    failure: new Failure('statement_denied', {
      message: `permission denied for role ${role}`,
      detail: `Role ${role} is not defined, so nothing is allowed to it.`,
      hint: 'Ask an operator to define the role in the configuration.',
    }),
  }
}

function adviceOf(way: WayToMore): string {
  switch (way.type) {
    case 'none':
      return 'No role allows it.'
    case 'role':
      return `Ask for a grant with role ${way.role}, which allows it: pgwarden request TARGET --role ${way.role} --for 1h --reason TEXT`
    case 'grant':
      return `This grant is for certain relations only: ask for another one with role ${way.role} that names this relation, or none.`
  }
}

/** A typing error is answered as PostgreSQL answers it: message and place. The rest is ours to explain. */
function adviceOn(analysis: Unparsable): Partial<FailureText> {
  switch (analysis.code) {
    case 'syntax_error':
      return analysis.position === undefined ? {} : { position: analysis.position }
    case 'statement_too_large':
      return {
        hint: 'Split the statement, load the data with COPY, or have an operator raise the limit.',
      }
    case 'statement_too_complex':
      return { hint: 'Write the statement with less nesting, for example with IN or VALUES lists.' }
    case 'invalid_text':
      return { hint: 'Send the statement as valid UTF-8 (client_encoding UTF8).' }
    case 'query_canceled':
      return {}
  }
}

const catalogReasons: Readonly<Record<CatalogPower, string>> = {
  write: 'writing the system catalogs',
  secrets: 'reading sensitive catalogs',
  statistics: 'reading collected statistics, which show values of every table',
}

const guarded: Readonly<Record<Guard, string>> = {
  context: 'here settings say who the session is, which no statement may change',
  relations: 'here not every relation may be touched',
}

const settingReasons: Readonly<Record<SettingProblem, string>> = {
  pinned: ', because it would change how the server reads statements',
  'not allowed': '',
  context: ', because it says who the session is to this database',
  limit: ', because it would go over the limit of the role',
}

function settingSubject(change: SettingChange): string {
  return change.name === unknownSetting ? 'with a name that is not a constant' : change.name
}

function described(change: SettingChange): string {
  const verb = change.by === '' ? 'SET' : change.by
  const value = change.values?.length ? ` to '${shortened(change.values.join(', '))}'` : ''
  return `${verb} of setting ${settingSubject(change)}${value}`
}

// Some values are as long as the statement.
function shortened(value: string): string {
  return value.length > 60 ? `${value.slice(0, 60)}...` : value
}

function qualified(schema: string | undefined, name: string): string {
  return schema === undefined ? name : `${schema}.${name}`
}
