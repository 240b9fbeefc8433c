// The policy: roles, and what each of them may run. Judges the exact bytes of a query string and
// remembers the answer under those bytes, since the same text means the same to the same role.
// Ignorant of sessions, grants and time; it holds no state but what it remembers.

import { analyse, type Limits, tooLarge } from '../sql/analyse.ts'
import { heaviest } from '../sql/commands.ts'
import type { Analysis, Parsed, SettingChange } from '../sql/facts.ts'
import { settingName } from '../sql/settings.ts'
import type { Decision, Deny, Judgement } from './decision.ts'
import { type Objection, objectionTo, objectionToSetting } from './judge.ts'
import { Memo } from './memo.ts'
import { compileRoles, type Permissions } from './permissions.ts'
import type { RoleDefinition } from './roles.ts'
import {
  denial,
  functionCallMessage,
  unknownPreparedStatement,
  unknownRole,
  unreadable,
} from './wording.ts'

export interface PolicyOptions {
  /** Longest query string that is parsed, in bytes. */
  readonly maxBytes: number
  /** Memory for remembered judgements, for each role. Default 16 MiB; 0 remembers nothing. */
  readonly cacheBytes?: number
}

/** Longer texts are rarely sent twice, and would push out many that are. */
const longestRemembered = 16 * 1024
const mostRemembered = 50_000

export class Policy {
  readonly #definitions: ReadonlyMap<string, RoleDefinition>
  readonly #permissions: ReadonlyMap<string, Permissions>
  readonly #memos: ReadonlyMap<string, Memo<Judgement>>
  readonly #limits: Limits
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  /**
   * `roles` in ascending order of power: a hint names the first that would do. Throws an
   * invalid_configuration Failure when a definition names what does not exist. The parser
   * (`loadParser`) must be loaded before anything is judged.
   */
  constructor(roles: readonly RoleDefinition[], options: PolicyOptions) {
    const bytes = options.cacheBytes ?? 16 * 1024 * 1024
    this.#definitions = new Map(roles.map((role) => [role.name, role]))
    this.#permissions = compileRoles(roles)
    this.#memos = new Map(
      roles.map((role) => [role.name, new Memo({ bytes, entries: mostRemembered })]),
    )
    this.#limits = { maxBytes: options.maxBytes }
  }

  roles(): readonly string[] {
    return [...this.#definitions.keys()]
  }

  role(name: string): RoleDefinition | undefined {
    return this.#definitions.get(name)
  }

  /** Judges the bytes of a query string, without the NUL that ends it on the wire. */
  judge(role: string, query: Buffer): Judgement {
    const memo = query.length > longestRemembered ? undefined : this.#memos.get(role)
    if (memo === undefined) return this.#judgeBytes(role, query)
    // One character a byte: two different byte strings can never share a judgement.
    const key = query.toString('latin1')
    const remembered = memo.get(key)
    if (remembered !== undefined) return remembered
    const judgement = this.#judgeBytes(role, query)
    if (isLasting(judgement) && memo.comesAgain(key))
      memo.set(key, judgement, 1024 + 8 * query.length)
    return judgement
  }

  judgeText(role: string, text: string): Judgement {
    return this.#decide(role, text, analyse(text, this.#limits))
  }

  /** The judgement of a query string of so many bytes, over the limit, that nobody has kept. */
  tooLarge(role: string, bytes: number): Judgement {
    return this.#decide(role, '', tooLarge(bytes, this.#limits))
  }

  /** A setting in a startup packet, by the rules of SET. A denial ends the connection (FATAL). */
  judgeSetting(role: string, name: string, value: string): Decision {
    const may = this.#permissions.get(role)
    if (may === undefined) return unknownRole(role)
    const change: SettingChange = {
      name: settingName(name),
      kind: 'set',
      values: [value],
      by: 'startup',
    }
    const objection = objectionToSetting(change, may)
    if (objection !== undefined) {
      const least = this.#leastRole((other) => objectionToSetting(change, other) === undefined)
      return denial(role, objection, least, 'setting_denied')
    }
    return { outcome: 'allow', rule: `${role}/settings`, reason: `setting ${change.name}` }
  }

  /** The judgement on a FunctionCall message: no role has it, since it runs any function by number. */
  functionCall(role: string): Judgement & { readonly decision: Deny } {
    return {
      text: '',
      analysis: { type: 'parsed', statements: [] },
      decision: functionCallMessage(role),
      tags: [],
      class: 'FUNCTION',
      executes: [],
    }
  }

  /** The answer to EXECUTE of a name that the session does not know. */
  unknownPrepared(role: string, name: string): Deny {
    return unknownPreparedStatement(role, name)
  }

  #judgeBytes(role: string, query: Buffer): Judgement {
    let text: string
    try {
      text = this.#decoder.decode(query)
    } catch {
      // Never replaced and judged: the server would read other characters than we did.
      return this.#decide(role, query.toString(), {
        type: 'unparsable',
        code: 'invalid_text',
        message: 'invalid byte sequence for encoding "UTF8"',
      })
    }
    return this.#decide(role, text, analyse(text, this.#limits))
  }

  #decide(role: string, text: string, analysis: Analysis): Judgement {
    const statements = analysis.type === 'parsed' ? analysis.statements : []
    return {
      text,
      analysis,
      decision: this.#decision(role, analysis),
      tags: statements.map((statement) => statement.tag),
      class: heaviest(statements.map((statement) => statement.class)),
      executes: executesOf(statements),
    }
  }

  #decision(role: string, analysis: Analysis): Decision {
    const may = this.#permissions.get(role)
    if (may === undefined) return unknownRole(role)
    if (analysis.type === 'unparsable') return unreadable(role, analysis)
    const objection = firstObjection(analysis, may)
    if (objection !== undefined) {
      const least = this.#leastRole((other) => firstObjection(analysis, other) === undefined)
      return denial(role, objection, least)
    }
    const commands = analysis.statements.flatMap((s) => s.actions.map((action) => action.command))
    const reason =
      commands.length === 0
        ? 'there is no statement'
        : `allowed: ${[...new Set(commands)].join(', ')}`
    return { outcome: 'allow', rule: `${role}/commands`, reason }
  }

  #leastRole(allows: (permissions: Permissions) => boolean): string | undefined {
    return [...this.#permissions.values()].find(allows)?.role
  }
}

/** False for what may be judged otherwise next time: the parser ran out of stack, or was restarting. */
function isLasting({ analysis }: Judgement): boolean {
  return analysis.type === 'parsed' || analysis.code !== 'statement_too_complex'
}

/** One statement that is denied denies them all: the server runs a query string as one unit. */
function firstObjection(analysis: Parsed, may: Permissions): Objection | undefined {
  for (const statement of analysis.statements) {
    const objection = objectionTo(statement, may)
    if (objection !== undefined) return objection
  }
  return undefined
}

/** Names that EXECUTE uses and that no PREPARE before it in the same string stands for. */
function executesOf(statements: Parsed['statements']): readonly string[] {
  const prepared = new Set<string>()
  const unknown = new Set<string>()
  for (const statement of statements) {
    if (statement.executes !== undefined && !prepared.has(statement.executes)) {
      unknown.add(statement.executes)
    }
    if (statement.prepares !== undefined) prepared.add(statement.prepares.name)
    if (statement.deallocates === '*') prepared.clear()
    else if (statement.deallocates !== undefined) prepared.delete(statement.deallocates)
  }
  return [...unknown]
}
