// The policy: roles, and what each of them may run. Judges the exact bytes of a query string and
// remembers the answer under those bytes, since the same text means the same to the same role on the
// same catalog. Ignorant of sessions, grants and time; it holds no state but what it remembers.

import { analyse, type Limits, tooLarge } from '../sql/analyse.ts'
import type { Analysis, SettingChange } from '../sql/facts.ts'
import { settingName } from '../sql/settings.ts'
import { Catalog, firstUserOid } from './catalog.ts'
import { lowest } from './ceilings.ts'
import { decide, leastRole, type PermissionsByRole } from './decide.ts'
import type { Decision, Deny, Judgement } from './decision.ts'
import { objectionToSetting } from './judge.ts'
import { Memo } from './memo.ts'
import { compileRoles, shortest } from './permissions.ts'
import type { RoleDefinition, SessionLimits } from './roles.ts'
import {
  denial,
  functionCallMessage,
  preparedTooDeep,
  textBehindUserCode,
  unknownPreparedStatement,
  unknownRole,
} from './wording.ts'

export interface PolicyOptions {
  /** Longest query string that is parsed, in bytes. */
  readonly maxBytes: number
  /** Memory for remembered query strings and judgements. Default 64 MiB; 0 remembers nothing. */
  readonly cacheBytes?: number
  /**
   * Analyses long texts where nobody waits for it, until `gone` is aborted. Without one `judgeLong` does
   * it here and now.
   */
  readonly analyseAside?: (text: string, limits: Limits, gone: AbortSignal) => Promise<Analysis>
}

/** In bytes. A longer text is for `judgeLong`. */
const longestAtOnce = 64 * 1024
/** Longer texts are rarely sent twice, and would push out many that are. */
const longestRemembered = 16 * 1024
const mostRemembered = 50_000
/** What the facts of a statement take, about. */
const statementBytes = 1024
/** Of one query string: for so many roles and databases. */
const mostJudgements = 8

/** A query string that has been seen, what it is, and who may run it where. */
interface Known {
  readonly text: string
  readonly analysis: Analysis
  readonly judgements: Remembered[]
}

interface Remembered {
  readonly role: string
  readonly judgement: Judgement
}

/** For a statement that is judged without a database. */
const anywhere = Catalog.unread()

export class Policy {
  readonly #definitions: ReadonlyMap<string, RoleDefinition>
  readonly #permissions: PermissionsByRole
  readonly #memo: Memo<Known>
  readonly #limits: Limits
  readonly #analyseAside: PolicyOptions['analyseAside']
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  /**
   * `roles` in ascending order of power: a hint names the first that would do. Throws an
   * invalid_configuration Failure when a definition names what does not exist. The parser
   * (`loadParser`) must be loaded before anything is judged.
   */
  constructor(roles: readonly RoleDefinition[], options: PolicyOptions) {
    this.#definitions = new Map(roles.map((role) => [role.name, role]))
    this.#permissions = compileRoles(roles)
    const bytes = options.cacheBytes ?? 64 * 1024 * 1024
    this.#memo = new Memo({ bytes, entries: mostRemembered })
    this.#limits = { maxBytes: options.maxBytes }
    this.#analyseAside = options.analyseAside
  }

  roles(): readonly string[] {
    return [...this.#definitions.keys()]
  }

  role(name: string): RoleDefinition | undefined {
    return this.#definitions.get(name)
  }

  /** The settings that a session of the role begins with: the lowest of its limits. */
  limits(role: string): ReadonlyMap<string, string> {
    const ceilings = this.#permissions.get(role)?.ceilings ?? new Map<string, readonly string[]>()
    return new Map([...ceilings].map(([setting, values]) => [setting, lowest(setting, values)]))
  }

  /** For how long a session of the role may do nothing, or one thing. */
  sessionLimits(role: string): SessionLimits {
    return this.#permissions.get(role)?.sessions ?? shortest([])
  }

  /** How often a query string was judged before, for the metrics. */
  get memory(): { readonly hits: number; readonly misses: number } {
    return this.#memo
  }

  /** Whether reading the text takes so long that it is for `judgeLong`. */
  isLong(query: Buffer): boolean {
    return query.length > longestAtOnce && query.length <= this.#limits.maxBytes
  }

  /** Judges the bytes of a query string, without the NUL that ends it on the wire. */
  judge(role: string, query: Buffer, catalog: Catalog): Judgement {
    if (query.length > longestRemembered) return this.#judgeBytes(role, query, catalog)
    // One character a byte: two different byte strings can never share a judgement.
    const key = query.toString('latin1')
    const known = this.#memo.get(key)
    if (known !== undefined) return this.#judgeKnown(role, known, catalog)
    const judgement = this.#judgeBytes(role, query, catalog)
    if (isLasting(judgement) && this.#memo.comesAgain(key)) {
      const { text, analysis } = judgement
      const judgements = [{ role, judgement }]
      const statements = analysis.type === 'parsed' ? analysis.statements.length : 0
      const bytes = 1024 + 8 * query.length + statementBytes * statements
      this.#memo.set(key, { text, analysis, judgements }, bytes)
    }
    return judgement
  }

  /**
   * The same for a long text, while others are served: by the catalog as it is known then. When `gone`
   * is aborted, nobody wants the judgement any more, and it means nothing.
   */
  async judgeLong(
    role: string,
    query: Buffer,
    catalog: () => Catalog,
    gone: AbortSignal,
  ): Promise<Judgement> {
    const text = this.#decode(query)
    if (text === undefined) return this.#undecodable(role, query, catalog())
    const analysis =
      (await this.#analyseAside?.(text, this.#limits, gone)) ?? analyse(text, this.#limits)
    return decide(this.#permissions, role, text, analysis, catalog())
  }

  /** What is judged already, by another state of the catalog. */
  judgeAgain(
    role: string,
    { text, analysis, parameterTypes }: Judgement,
    catalog: Catalog,
  ): Judgement {
    return decide(this.#permissions, role, text, analysis, catalog, parameterTypes)
  }

  judgeText(role: string, text: string, catalog: Catalog = anywhere): Judgement {
    return decide(this.#permissions, role, text, analyse(text, this.#limits), catalog)
  }

  /**
   * The judgement of a text that a message gives parameters of these types, by number: code that no text
   * shows may make their values.
   */
  withParameters(
    role: string,
    judgement: Judgement,
    types: readonly number[],
    catalog: Catalog,
  ): Judgement {
    // Drivers name the server's own types with every statement.
    const telling = types.filter((oid) => oid >= firstUserOid || catalog.typesByOid(oid).length > 0)
    if (telling.length === 0) return judgement
    return decide(this.#permissions, role, judgement.text, judgement.analysis, catalog, telling)
  }

  /** The judgement of a query string of so many bytes, over the limit, that nobody has kept. */
  tooLarge(role: string, bytes: number): Judgement {
    return decide(this.#permissions, role, '', tooLarge(bytes, this.#limits), anywhere)
  }

  /** The judgement of a query string that its client canceled before it was read. */
  canceled(role: string, query: Buffer): Judgement {
    const message = 'canceling statement due to user request'
    const analysis: Analysis = { type: 'unparsable', code: 'query_canceled', message }
    return decide(this.#permissions, role, query.toString(), analysis, anywhere)
  }

  /** The decision on a query string that is the first of a session: nothing was prepared before it. */
  decisionAlone(role: string, { decision, executes }: Judgement): Decision {
    const [unknown] = executes
    if (decision.outcome === 'deny' || unknown === undefined) return decision
    return this.unknownPrepared(role, unknown) ?? decision
  }

  /** A setting in a startup packet, by the rules of SET. A denial ends the connection (FATAL). */
  judgeSetting(role: string, name: string, value: string): Decision {
    const may = this.#permissions.get(role)
    if (may === undefined) return unknownRole(role)
    const change: SettingChange = {
      name: settingName(name),
      kind: 'set',
      values: [value],
      by: 'SET',
    }
    const objection = objectionToSetting(change, may)
    if (objection !== undefined) {
      const least = leastRole(
        this.#permissions,
        (other) => objectionToSetting(change, other) === undefined,
      )
      return denial(role, objection, least, 'setting_denied')
    }
    return { outcome: 'allow', rule: `${role}/settings`, reason: `setting ${change.name}` }
  }

  /** The judgement on a FunctionCall message that stands for no SQL: it runs any function by number. */
  functionCall(role: string, oid: number): Judgement & { readonly decision: Deny } {
    return {
      text: '',
      analysis: { type: 'parsed', statements: [] },
      parameterTypes: [],
      decision: functionCallMessage(role, oid),
      tags: [],
      class: 'FUNCTION',
      executes: [],
      runsUserCode: true,
      changesCatalog: true,
      catalogVersion: anywhere.version,
    }
  }

  /** The answer to a text that the server may read differently when user code has run before it. */
  behindUserCode(role: string): Deny {
    return textBehindUserCode(role)
  }

  /**
   * The answer to EXECUTE of a name that the session does not know; undefined for a role that may run
   * unseen code anyway: the server then says that there is no such statement.
   */
  unknownPrepared(role: string, name: string): Deny | undefined {
    const unseen = this.#permissions.get(role)?.commands.has('DO') === true
    return unseen ? undefined : unknownPreparedStatement(role, name)
  }

  /** The answer to an EXECUTE of an EXECUTE, and so on beyond what anybody needs. */
  namesTooDeep(role: string): Deny {
    return preparedTooDeep(role)
  }

  #judgeKnown(role: string, known: Known, catalog: Catalog): Judgement {
    const { judgements } = known
    for (const { judgement, ...of } of judgements) {
      if (of.role === role && judgement.catalogVersion === catalog.version) return judgement
    }
    const judgement = decide(this.#permissions, role, known.text, known.analysis, catalog)
    // The oldest goes: a catalog that was read again has left its judgements behind.
    if (judgements.length === mostJudgements) judgements.shift()
    judgements.push({ role, judgement })
    return judgement
  }

  #judgeBytes(role: string, query: Buffer, catalog: Catalog): Judgement {
    const text = this.#decode(query)
    if (text === undefined) return this.#undecodable(role, query, catalog)
    return decide(this.#permissions, role, text, analyse(text, this.#limits), catalog)
  }

  #decode(query: Buffer): string | undefined {
    try {
      return this.#decoder.decode(query)
    } catch {
      return undefined
    }
  }

  /** Never replaced and judged: the server would read other characters than we did. */
  #undecodable(role: string, query: Buffer, catalog: Catalog): Judgement {
    const message = 'invalid byte sequence for encoding "UTF8"'
    const analysis: Analysis = { type: 'unparsable', code: 'invalid_text', message }
    return decide(this.#permissions, role, query.toString(), analysis, catalog)
  }
}

/** False for what may be judged otherwise next time: the parser ran out of stack, or was restarting. */
function isLasting({ analysis }: Judgement): boolean {
  return analysis.type === 'parsed' || analysis.code !== 'statement_too_complex'
}
