// From the startup packet to an open session on the target: token, grant, target, settings,
// credentials, upstream. To a stranger every refusal of a token looks the same; the true reason goes
// to the audit. Ignorant of statements.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Authorization } from '../access/authorization.ts'
import type { Claim } from '../access/claim.ts'
import type { LoginAttempt, Proof } from '../access/login.ts'
import type { Claimant } from '../access/login-guard.ts'
import type { Journal } from '../audit/journal.ts'
import { journalCheckRecord } from '../audit/journal-record.ts'
import { type ClientCertificate, type Login, loginRecord } from '../audit/record.ts'
import { Failure } from '../errors.ts'
import type { Policy } from '../policy/policy.ts'
import type { Remit } from '../policy/remit.ts'
import { encodeBackend } from '../wire/backend-encoder.ts'
import { decodeOptions } from '../wire/startup.ts'
import { askedApplication, underName } from './application-name.ts'
import type { Crowd } from './crowd.ts'
import { tooManyLogins } from './limit-refusals.ts'
import { networkOf } from './networks.ts'
import { noAccess } from './no-access.ts'
import type { Peer } from './peer.ts'
import { asSettings, type Pins, pinsOf, requiredPins } from './pins.ts'
import type { Taken } from './places.ts'
import type {
  CredentialSource,
  LeaseUse,
  Log,
  LoginGuard,
  LoginTrace,
  Meter,
  Rulebook,
  TokenCheck,
  Tracing,
  Upstream,
  UpstreamConnector,
} from './ports.ts'
import type { Refusals } from './refusals.ts'
import { destinationOf, misdirection } from './targets.ts'
import { LiveTerms } from './terms.ts'

export interface LoginDependencies {
  readonly tokens: TokenCheck
  readonly guard: LoginGuard
  readonly credentials: CredentialSource
  readonly upstream: UpstreamConnector
  /** A login goes by the one that it begins with. */
  readonly rulebook: { readonly current: Rulebook }
  readonly journal: Journal
  /** Where the control plane is reached, where that is known. */
  readonly publicUrl: string | undefined
  readonly meter: Meter
  readonly tracing: Tracing
  readonly log: Log
}

export interface LoggedIn {
  readonly authorization: Authorization
  /** What the configuration gives it, now and later. */
  readonly terms: LiveTerms
  readonly upstream: Upstream
  /** To be released when the session is over. */
  readonly use: LeaseUse
  /** Its place among the sessions of its principal and grant; to be given back then too. */
  readonly seat: Taken
  readonly application: string
  /** Of the login's trace, where there is one. */
  readonly traceId: string | undefined
  /** Settings that the upstream must go on reporting as they are now. */
  readonly pinned: Pins
}

/** A client that has said who it is and what it wants. */
export interface Applicant {
  readonly parameters: ReadonlyMap<string, string>
  readonly claim: Claim
  /** The server name of its TLS. */
  readonly serverName: string | undefined
  readonly peer: Peer
  readonly write: (bytes: Buffer) => void
  /** Called when it is certain that it is not let in: another may have its place. */
  readonly refused: () => void
  readonly trace: LoginTrace
  /** Seconds since it proved who it is. */
  readonly waited: () => number
}

/** What all logins share. */
interface Doormen {
  readonly refusals: Refusals
  readonly crowd: Crowd
}

/** Throws the Failure to answer with. What was refused is recorded before it is answered. */
export async function logIn(
  deps: LoginDependencies,
  { refusals, crowd }: Doormen,
  { parameters, claim, serverName, peer, write, refused, waited, trace }: Applicant,
  proof: Proof,
): Promise<LoggedIn> {
  const user = parameters.get('user') ?? ''
  const wanted = { user, database: parameters.get('database') || user, serverName }
  const rulebook = deps.rulebook.current
  const destination = destinationOf(rulebook.targets, wanted)
  const target = destination.target?.name
  const { principal } = claim
  const { name: client, certificate } = peer
  const identity = { principal, target: target ?? wanted.database, client, certificate }

  if (!crowd.mayLogIn(peer.address)) {
    deps.meter.login('refused', 'too_many_logins_per_second', waited())
    await refusals.record(
      peer.address,
      refusedLogin(identity, 'too_many_logins_per_second', undefined),
    )
    throw tooManyLogins()
  }
  const attempt = { claim, proof, target, address: peer.address }
  const claimant = { principal, address: networkOf(peer.address) }
  const checking = trace.step('authenticate', () => check(deps, claimant, attempt))
  const verified = await checking.catch(async (error: unknown) => {
    deps.meter.login('failed', asFailure(error).code, waited())
    await refusals.record(peer.address, refusedLogin(identity, asFailure(error).code, undefined))
    throw error
  })
  if (verified.type === 'locked') {
    deps.meter.login('refused', 'locked_out', waited())
    await refusals.record(peer.address, refusedLogin(identity, 'locked_out', undefined))
    throw lockedOut(verified.until)
  }
  // A client that asked for this proof must have it before anything else, also before an error.
  const data = verified.type === 'refused' ? undefined : verified.serverFinal
  if (data !== undefined) write(encodeBackend({ type: 'authenticationSASLFinal', data }))
  if (verified.type !== 'authorized') {
    const { reason, tokenId } = verified
    deps.meter.login('refused', reason, waited())
    await refusals.record(peer.address, refusedLogin(identity, reason, tokenId))
    if (verified.type === 'misdirected') {
      throw misdirection(verified, wanted, destination, {
        requestable: [...rulebook.targets.keys()],
        url: deps.publicUrl,
      })
    }
    const { grant, reason: why } = verified
    const over = grant?.principal === principal && noAccess(why, grant, deps.publicUrl)
    if (over) throw over
    const waitMs = await deps.guard.failed(claimant)
    refused()
    await sleep(waitMs, undefined, { ref: false })
    throw new Failure('invalid_password', {
      message: `password authentication failed for user "${user}"`,
    })
  }
  const { authorization } = verified
  deps.guard.succeeded(claimant)
  let seat: Taken | undefined
  try {
    seat = crowd.seat(authorization.grant)
    // Behind the token: a stranger does not learn which targets there are, and what they ask for.
    const terms = new LiveTerms(deps.rulebook, rulebook, authorization.grant, certificate)
    const opened = await open(deps, authorization, parameters, terms, trace)
    return { ...opened, seat, traceId: trace.traceId }
  } catch (error) {
    seat?.giveBack()
    const { code } = asFailure(error)
    deps.meter.login('failed', code, waited())
    await deps.journal.record(loginRecord(refusedLogin(identity, code, authorization.tokenId)))
    throw error
  }
}

/** Of somebody who is locked out nothing is looked at: neither the token nor whether there is one. */
async function check(
  { guard, tokens }: LoginDependencies,
  claimant: Claimant,
  attempt: LoginAttempt,
): Promise<
  Awaited<ReturnType<TokenCheck['verify']>> | { readonly type: 'locked'; readonly until: number }
> {
  const until = await guard.lockedUntil(claimant)
  return until === undefined ? tokens.verify(attempt) : { type: 'locked', until }
}

/** What a login is recorded and counted under. */
interface Identity {
  readonly principal: string
  readonly target: string
  readonly client: string
  readonly certificate: ClientCertificate | undefined
}

function refusedLogin(identity: Identity, reason: string, tokenId: string | undefined): Login {
  return { ...identity, result: 'refused', reason, tokenId, session: undefined }
}

async function open(
  deps: LoginDependencies,
  authorization: Authorization,
  parameters: ReadonlyMap<string, string>,
  terms: LiveTerms,
  trace: LoginTrace,
): Promise<Omit<LoggedIn, 'seat' | 'traceId'>> {
  const { grant } = authorization
  const { target, policy, remit, context, readOnly, mayBecomeAnother } = terms.now
  const settings = allowedSettings(policy, remit, parameters)
  const required = requiredPins(readOnly)

  const acquire = (): Promise<LeaseUse> =>
    trace.step('credentials', () => deps.credentials.acquire(grant))
  const connect = ({ lease }: LeaseUse): Promise<Upstream> => {
    const request = {
      target: target.name,
      parameters: new Map([
        ...limitsBeside(settings, policy.limits(grant.role)),
        ...underName(settings, target.applicationName, grant),
        ...asSettings(required),
        ...context,
        ['user', lease.user],
        ['database', target.database],
      ]),
      password: lease.password,
    }
    return trace.step('connect', () => deps.upstream.connect(request))
  }
  // Without a journal there will be no session: then nobody has to be bothered for a login.
  if (!deps.journal.healthy) await deps.journal.record(journalCheckRecord(), { durable: true })
  const { use, upstream } = await loggedInUpstream(acquire, connect)
  try {
    return {
      authorization,
      terms,
      upstream,
      use,
      application: askedApplication(settings),
      pinned: pinsOf(required, upstream.reported, mayBecomeAnother),
    }
  } catch (error) {
    upstream.socket.destroy()
    use.released()
    throw error
  }
}

/**
 * A login that was good when it was issued may not be any more: its password was changed, or somebody
 * has dropped its role. Then another is asked for, once.
 */
async function loggedInUpstream(
  acquire: () => Promise<LeaseUse>,
  connect: (use: LeaseUse) => Promise<Upstream>,
  again = true,
): Promise<{ readonly use: LeaseUse; readonly upstream: Upstream }> {
  const use = await acquire()
  try {
    const upstream = await connect(use)
    use.opened(upstream)
    return { use, upstream }
  } catch (error) {
    const refused = error instanceof Failure && error.code === 'login_refused'
    const another = refused && use.refused() && again
    use.released()
    if (!another) throw error
  }
  return loggedInUpstream(acquire, connect, false)
}

/** The role's limits that the client did not ask for less of; what it asked for has been judged by them. */
function limitsBeside(
  settings: ReadonlyMap<string, string>,
  limits: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const asked = new Set([...settings.keys()].map((name) => name.toLowerCase()))
  return new Map([...limits].filter(([name]) => !asked.has(name)))
}

/**
 * The settings of the startup packet, judged like SET by the role's rules. The packet that goes
 * upstream is built from these alone: nothing of the client's is copied unseen. Within PostgreSQL a
 * setting of its own beats the same one in `options`; so it does here.
 */
function allowedSettings(
  policy: Policy,
  remit: Remit,
  parameters: ReadonlyMap<string, string>,
): Map<string, string> {
  const { role } = remit
  const asked = new Map<string, string>(decodeOptions(parameters.get('options') ?? ''))
  for (const name of asked.keys()) {
    // Inside `options` they are no settings, and in our packet they would choose another database.
    if (connectionParameters.has(name.toLowerCase())) {
      throw new Failure('setting_denied', {
        message: `permission denied for role ${role}: startup parameter "${name}" inside "options"`,
        hint: 'Leave it out of the connection settings.',
      })
    }
  }
  for (const [name, value] of parameters) {
    if (!connectionParameters.has(name)) asked.set(name, value)
  }
  for (const [name, value] of asked) {
    const decision = policy.judgeSetting(remit, name, value)
    if (decision.outcome === 'allow') continue
    throw new Failure('setting_denied', {
      message: `permission denied for role ${role}: startup parameter "${name}"`,
      detail: decision.failure.detail ?? decision.reason,
      hint: 'Leave the parameter out of the connection settings.',
    })
  }
  return asked
}

/** Startup parameters that are not settings. */
const connectionParameters = new Set(['user', 'database', 'options', 'replication'])

/** `replication` turns the connection into a walsender: another grammar, and nothing here judges it. */
export function refuseReplication(parameters: ReadonlyMap<string, string>): void {
  const value = parameters.get('replication')?.toLowerCase()
  if (value === undefined || ['false', 'off', 'no', '0'].includes(value)) return
  throw new Failure('feature_not_supported', {
    message: 'replication connections are not supported',
    hint: 'Leave "replication" out of the connection settings.',
  })
}

function lockedOut(until: number): Failure {
  return new Failure('invalid_authorization', {
    message: 'too many failed logins with this user name from this address',
    detail: `Logins are refused until ${new Date(until).toISOString()}, whatever they show.`,
    hint: 'Try again then, from another address, or ask an administrator to lift the lock-out.',
  })
}

/** What a client may know of any error. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    'cannot_connect_now',
    {
      message: 'pgwarden could not open the session because of an internal error',
      hint: 'Try again; if it lasts, tell the people who run pgwarden.',
    },
    { cause: error },
  )
}
