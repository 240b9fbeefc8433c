// What the configuration gives the sessions of a grant: as what they are judged, what they begin with, how
// long they may last. Worked out at login, and again when the configuration was replaced: a live session
// goes by the new terms from its next statement on, or ends where it has what they would not give it.
// Ignorant of sockets, and of who replaces the configuration. docs/policy.md, "Changes under live sessions".

import type { Grant } from '../access/access.ts'
import type { ClientCertificate } from '../audit/record.ts'
import type { Recording } from '../audit/recording.ts'
import { Failure } from '../errors.ts'
import { leftover } from '../policy/leftover.ts'
import { shortest } from '../policy/permissions.ts'
import type { Policy } from '../policy/policy.ts'
import type { Remit } from '../policy/remit.ts'
import type { SessionLimits } from '../policy/roles.ts'
import { mayBecomeAnother } from './pins.ts'
import type { Rulebook, Target } from './ports.ts'
import { filledContext } from './session-context.ts'

export interface Terms {
  readonly target: Target
  readonly policy: Policy
  /** What its statements are judged as. */
  readonly remit: Remit
  readonly readOnly: boolean
  /** Whether it may go on as another database role. */
  readonly mayBecomeAnother: boolean
  /** The settings that say who it is. */
  readonly context: ReadonlyMap<string, string>
  readonly limits: SessionLimits
  readonly recording: Recording
  readonly maxStatementBytes: number
}

/** @throws Failure when the rulebook has no session for the grant. */
function termsOf(
  { policy, targets, recording, maxStatementBytes }: Rulebook,
  grant: Grant,
  certificate: ClientCertificate | undefined,
): Terms {
  const target = targets.get(grant.target)
  const role = policy.role(grant.role)
  if (target === undefined || role === undefined) {
    throw new Failure('cannot_connect_now', {
      message: `the grant is for a ${target === undefined ? 'target' : 'role'} that is no longer configured`,
      hint: 'Tell the people who run pgwarden.',
    })
  }
  if (target.clientCertificate === 'required' && certificate === undefined) throw noCertificate()
  const remit = policy.restricted(grant.role, {
    sensitive: target.sensitive,
    context: [...target.sessionContext.keys()],
    relations: grant.relations,
  })
  return {
    target,
    policy,
    remit,
    readOnly: role.readOnly === true,
    mayBecomeAnother: mayBecomeAnother(remit, policy),
    context: filledContext(target.sessionContext, grant),
    limits: shortest([target.limits, policy.sessionLimits(grant.role)]),
    recording: recording(grant.role),
    maxStatementBytes,
  }
}

/** Of one session, from its login on. */
export class LiveTerms {
  /**
   * As they were at login: what a live session cannot change goes by them. No more of them: a session would keep
   * the policy that it was opened under, with all that it remembers, after each change that it lives through.
   */
  readonly opened: Pick<Terms, 'recording' | 'maxStatementBytes'>
  readonly #rulebook: { readonly current: Rulebook }
  readonly #grant: Grant
  readonly #certificate: ClientCertificate | undefined
  #at: Rulebook
  #terms: Terms
  /** Once over it stays over, though the configuration may come back. */
  #ended: Failure | undefined

  /** `at` is the rulebook that the login began with. @throws Failure when it has no session for the grant. */
  constructor(
    rulebook: { readonly current: Rulebook },
    at: Rulebook,
    grant: Grant,
    certificate: ClientCertificate | undefined,
  ) {
    this.#rulebook = rulebook
    this.#grant = grant
    this.#certificate = certificate
    this.#at = at
    this.#terms = termsOf(at, grant, certificate)
    const { recording, maxStatementBytes } = this.#terms
    this.opened = { recording, maxStatementBytes }
  }

  /** As they are now. @throws Failure when the session cannot go on under them. */
  get now(): Terms {
    const { ended } = this
    if (ended !== undefined) throw ended
    return this.#terms
  }

  /** Why the session must end, if a change of the configuration ends it. */
  get ended(): Failure | undefined {
    // Asked for every statement: when nothing was replaced it costs one comparison.
    if (this.#rulebook.current !== this.#at) this.#follow(this.#rulebook.current)
    return this.#ended
  }

  #follow(rulebook: Rulebook): void {
    this.#at = rulebook
    if (this.#ended !== undefined) return
    try {
      const terms = termsOf(rulebook, this.#grant, this.#certificate)
      const why = difference(this.#terms, terms)
      if (why === undefined) this.#terms = terms
      else this.#ended = overtaken(why)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const problem = error.detail ?? `${error.message}.`
      this.#ended = overtaken(`No new session would be opened: ${problem}`)
    }
  }
}

/** What the session has and would not get by the terms of now; undefined when it can go on under them. */
function difference(before: Terms, now: Terms): string | undefined {
  if (!isSameDatabase(before.target, now.target)) return 'Its target is another database now.'
  // Also the other way round: its transactions would go on being what its server was told.
  if (before.readOnly !== now.readOnly) {
    return now.readOnly ? 'Its role is read-only now.' : 'Its role is not read-only any more.'
  }
  if (before.mayBecomeAnother !== now.mayBecomeAnother) {
    return 'Whether its role may go on as another database role is settled at login, and has changed.'
  }
  if (!sameEntries(before.context, now.context)) {
    return 'The settings that say who it is would be others now.'
  }
  const [had, has] = [before.remit.may, now.remit.may]
  return had && has && leftover(had, has)
}

/** Servers come and go; but of a name that is all on others now nobody knows whether it is the same there. */
function isSameDatabase(before: Target, now: Target): boolean {
  const isThere = (server: Target['servers'][number]): boolean =>
    now.servers.some(({ host, port }) => host === server.host && port === server.port)
  return before.database === now.database && before.servers.some(isThere)
}

function sameEntries(
  one: ReadonlyMap<string, string>,
  other: ReadonlyMap<string, string>,
): boolean {
  return one.size === other.size && [...one].every(([name, value]) => other.get(name) === value)
}

function overtaken(why: string): Failure {
  return new Failure('session_terminated', {
    message: "terminating connection due to a change of pgwarden's configuration",
    detail: why,
    hint: 'Connect again: a new session gets what the configuration says now.',
  })
}

function noCertificate(): Failure {
  return new Failure('invalid_authorization', {
    message: 'connection requires a client certificate',
    detail: 'This target is open only to clients that show one.',
    hint: 'Connect with sslcert and sslkey, where pgwarden asks for certificates.',
  })
}
