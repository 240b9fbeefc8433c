// The policy: roles, and what each of them may run. Judges the exact bytes of a query string and
// remembers the answer under those bytes, since the same text means the same to the same role on the
// same catalog. Ignorant of sessions, grants and time; it holds no state but what it remembers.

import { analyse, type Limits, tooLarge } from '../sql/analyse.ts'
import type { Analysis, SettingChange } from '../sql/facts.ts'
import { settingName } from '../sql/settings.ts'
import { Catalog, firstUserOid } from './catalog.ts'
import { lowest } from './ceilings.ts'
import { decide, holdsFor, wayToMore } from './decide.ts'
import type { Decision, Deny, Judgement } from './decision.ts'
import { objectionToSetting } from './judge.ts'
import { type Lookups, Memo } from './memo.ts'
import { compileRoles, shortest } from './permissions.ts'
import { type Remit, Remits, type Restriction, type Subject } from './remit.ts'
import type { RoleDefinition, SessionLimits } from './roles.ts'
import { guardsOf } from './unseen.ts'
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
  /** Counted up with every query string that is looked up among those judged before. */
  readonly lookups?: Lookups
  /** Reads a text that is not known; given by whoever measures that. */
  readonly analyse?: (text: string, limits: Limits) => Analysis
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
  readonly judgements: Judgement[]
}

/** For a statement that is judged without a database. */
const anywhere = Catalog.unread()

export class Policy {
  readonly #definitions: ReadonlyMap<string, RoleDefinition>
  readonly #remits: Remits
  readonly #memo: Memo<Known>
  readonly #limits: Limits
  readonly #analyse: (text: string, limits: Limits) => Analysis
  readonly #analyseAside: PolicyOptions['analyseAside']
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  /**
   * `roles` in ascending order of power: a hint names the first that would do. Throws an
   * invalid_configuration Failure when a definition names what does not exist. The parser
   * (`loadParser`) must be loaded before anything is judged.
   */
  constructor(roles: readonly RoleDefinition[], options: PolicyOptions) {
    this.#definitions = new Map(roles.map((role) => [role.name, role]))
    this.#remits = new Remits(compileRoles(roles))
    const bytes = options.cacheBytes ?? 64 * 1024 * 1024
    const { lookups = { hits: 0, misses: 0 } } = options
    this.#memo = new Memo({ bytes, entries: mostRemembered }, lookups)
    this.#limits = { maxBytes: options.maxBytes }
    this.#analyse = options.analyse ?? analyse
    this.#analyseAside = options.analyseAside
  }

  roles(): readonly string[] {
    return [...this.#definitions.keys()]
  }

  role(name: string): RoleDefinition | undefined {
    return this.#definitions.get(name)
  }

  /** What a session of the role may do where less is allowed than the role allows. */
  restricted(role: string, restriction: Restriction): Remit {
    return this.#remits.restricted(role, restriction)
  }

  /** The settings that a session of the role begins with: the lowest of its limits. */
  limits(role: string): ReadonlyMap<string, string> {
    const ceilings = this.#remits.of(role).may?.ceilings ?? new Map<string, readonly string[]>()
    return new Map([...ceilings].map(([setting, values]) => [setting, lowest(setting, values)]))
  }

  /** For how long a session of the role may do nothing, or one thing. */
  sessionLimits(role: string): SessionLimits {
    return this.#remits.of(role).may?.sessions ?? shortest([])
  }

  /** Whether reading the text takes so long that it is for `judgeLong`. */
  isLong(query: Buffer): boolean {
    return query.length > longestAtOnce && query.length <= this.#limits.maxBytes
  }

  /** Judges the bytes of a query string, without the NUL that ends it on the wire. */
  judge(subject: Subject, query: Buffer, catalog: Catalog): Judgement {
    const remit = this.#remits.of(subject)
    if (query.length > longestRemembered) return this.#judgeBytes(remit, query, catalog)
    // One character a byte: two different byte strings can never share a judgement.
    const key = query.toString('latin1')
    const known = this.#memo.get(key)
    if (known !== undefined) return this.#judgeKnown(remit, known, catalog)
    const judgement = this.#judgeBytes(remit, query, catalog)
    if (isLasting(judgement) && this.#memo.comesAgain(key)) {
      const { text, analysis } = judgement
      const statements = analysis.type === 'parsed' ? analysis.statements.length : 0
      const bytes = 1024 + 8 * query.length + statementBytes * statements
      this.#memo.set(key, { text, analysis, judgements: [judgement] }, bytes)
    }
    return judgement
  }

  /**
   * The same for a long text, while others are served: by the catalog as it is known then. When `gone`
   * is aborted, nobody wants the judgement any more, and it means nothing.
   */
  async judgeLong(
    subject: Subject,
    query: Buffer,
    catalog: () => Catalog,
    gone: AbortSignal,
  ): Promise<Judgement> {
    const remit = this.#remits.of(subject)
    const text = this.#decode(query)
    if (text === undefined) return this.#undecodable(remit, query, catalog())
    const analysis =
      (await this.#analyseAside?.(text, this.#limits, gone)) ?? this.#analyse(text, this.#limits)
    return decide(remit, text, analysis, catalog())
  }

  /** What is judged already, for somebody else or by another state of the catalog. */
  judgeAgain(
    subject: Subject,
    { text, analysis, parameterTypes }: Judgement,
    catalog: Catalog,
  ): Judgement {
    return decide(this.#remits.of(subject), text, analysis, catalog, parameterTypes)
  }

  judgeText(subject: Subject, text: string, catalog: Catalog = anywhere): Judgement {
    return decide(this.#remits.of(subject), text, this.#analyse(text, this.#limits), catalog)
  }

  /**
   * The judgement of a text that a message gives parameters of these types, by number: code that no text
   * shows may make their values.
   */
  withParameters(
    subject: Subject,
    judgement: Judgement,
    types: readonly number[],
    catalog: Catalog,
  ): Judgement {
    // Drivers name the server's own types with every statement.
    const telling = types.filter((oid) => oid >= firstUserOid || catalog.typesByOid(oid).length > 0)
    if (telling.length === 0) return judgement
    const remit = this.#remits.of(subject)
    return decide(remit, judgement.text, judgement.analysis, catalog, telling)
  }

  /** The judgement of a query string of so many bytes, over the limit, that nobody has kept. */
  tooLarge(subject: Subject, bytes: number, maxBytes: number): Judgement {
    const analysis = tooLarge(bytes, { maxBytes })
    return decide(this.#remits.of(subject), '', analysis, anywhere)
  }

  /** The judgement of a query string that its client canceled before it was read. */
  canceled(subject: Subject, query: Buffer): Judgement {
    const message = 'canceling statement due to user request'
    const analysis: Analysis = { type: 'unparsable', code: 'query_canceled', message }
    return decide(this.#remits.of(subject), query.toString(), analysis, anywhere)
  }

  /** The decision on a query string that is the first of a session: nothing was prepared before it. */
  decisionAlone(subject: Subject, { decision, executes }: Judgement): Decision {
    const [unknown] = executes
    if (decision.outcome === 'deny' || unknown === undefined) return decision
    return this.unknownPrepared(subject, unknown) ?? decision
  }

  /** A setting in a startup packet, by the rules of SET. A denial ends the connection (FATAL). */
  judgeSetting(subject: Subject, name: string, value: string): Decision {
    const remit = this.#remits.of(subject)
    const { role, may } = remit
    if (may === undefined) return unknownRole(role)
    const change = setting(name, value)
    const objection = objectionToSetting(change, may)
    if (objection !== undefined) {
      const way = wayToMore(remit, (other) => objectionToSetting(change, other) === undefined)
      return denial(role, objection, way, 'setting_denied')
    }
    return { outcome: 'allow', rule: `${role}/settings`, reason: `setting ${change.name}` }
  }

  /** The same, as yes or no: of every session when the rules are replaced. */
  allowsSetting(subject: Subject, name: string, value: string): boolean {
    const { may } = this.#remits.of(subject)
    return may !== undefined && objectionToSetting(setting(name, value), may) === undefined
  }

  /** The judgement on a FunctionCall message that stands for no SQL: it runs any function by number. */
  functionCall(subject: Subject, oid: number): Judgement & { readonly decision: Deny } {
    const remit = this.#remits.of(subject)
    return {
      remit,
      text: '',
      analysis: { type: 'parsed', statements: [], secrets: [] },
      parameterTypes: [],
      decision: functionCallMessage(remit.role, oid),
      tags: [],
      class: 'FUNCTION',
      executes: [],
      runsUserCode: true,
      changesCatalog: true,
      catalogVersion: anywhere.version,
    }
  }

  /** The answer to a text that the server may read differently when user code has run before it. */
  behindUserCode(subject: Subject): Deny {
    return textBehindUserCode(this.#remits.of(subject).role)
  }

  /**
   * The answer to EXECUTE of a name that the session does not know; undefined for a role that may run
   * unseen code anyway: the server then says that there is no such statement.
   */
  unknownPrepared(subject: Subject, name: string): Deny | undefined {
    const { role, may } = this.#remits.of(subject)
    const unseen = may?.commands.has('DO') === true && guardsOf(may).length === 0
    return unseen ? undefined : unknownPreparedStatement(role, name)
  }

  /** The answer to an EXECUTE of an EXECUTE, and so on beyond what anybody needs. */
  namesTooDeep(subject: Subject): Deny {
    return preparedTooDeep(this.#remits.of(subject).role)
  }

  #judgeKnown(remit: Remit, known: Known, catalog: Catalog): Judgement {
    const { judgements } = known
    for (const judgement of judgements) {
      if (holdsFor(judgement, remit, catalog)) return judgement
    }
    const judgement = decide(remit, known.text, known.analysis, catalog)
    // The oldest goes: a catalog that was read again has left its judgements behind.
    if (judgements.length === mostJudgements) judgements.shift()
    judgements.push(judgement)
    return judgement
  }

  #judgeBytes(remit: Remit, query: Buffer, catalog: Catalog): Judgement {
    const text = this.#decode(query)
    if (text === undefined) return this.#undecodable(remit, query, catalog)
    return decide(remit, text, this.#analyse(text, this.#limits), catalog)
  }

  #decode(query: Buffer): string | undefined {
    try {
      return this.#decoder.decode(query)
    } catch {
      return undefined
    }
  }

  /** Never replaced and judged: the server would read other characters than we did. */
  #undecodable(remit: Remit, query: Buffer, catalog: Catalog): Judgement {
    const message = 'invalid byte sequence for encoding "UTF8"'
    const analysis: Analysis = { type: 'unparsable', code: 'invalid_text', message }
    return decide(remit, query.toString(), analysis, catalog)
  }
}

function setting(name: string, value: string): SettingChange {
  return { name: settingName(name), kind: 'set', values: [value], by: 'SET' }
}

/** False for what may be judged otherwise next time: the parser ran out of stack, or was restarting. */
function isLasting({ analysis }: Judgement): boolean {
  return analysis.type === 'parsed' || analysis.code !== 'statement_too_complex'
}
