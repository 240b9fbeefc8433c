// One connection from its startup packet to a running relay: who it is, what is recorded of it, how
// it is greeted, and what happens when it ends. docs/architecture.md, "Opening a session".

import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { claimOf } from '../access/claim.ts'
import type { GrantChanges } from '../access/grant-changes.ts'
import type { LiveSession } from '../access/live-session.ts'
import type { Proof } from '../access/login.ts'
import {
  loginRecord,
  type SessionContext,
  sessionContext,
  sessionEndRecord,
  sessionStartRecord,
} from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { Catalog } from '../policy/catalog.ts'
import { encodeBackend } from '../wire/backend-encoder.ts'
import type { CancelKey } from './cancel.ts'
import type { CancelRequests } from './cancel-requests.ts'
import type { Crowd } from './crowd.ts'
import { GrantEnd } from './grant-end.ts'
import type { Intake } from './intake.ts'
import {
  type Applicant,
  asFailure,
  type LoggedIn,
  type LoginDependencies,
  logIn,
  refuseReplication,
} from './login.ts'
import { LoginEnd } from './login-end.ts'
import type { Networks } from './networks.ts'
import type { Peer } from './peer.ts'
import type { Catalogs, GrantSource, Notices, Registry, Sittings, Upstream } from './ports.ts'
import { type Authentication, askProof } from './proof.ts'
import type { Refusals } from './refusals.ts'
import { type Ending, Relay } from './relay.ts'
import type { Sessions } from './sessions.ts'
import { shuttingDown } from './shutdown.ts'
import { agree, type Opening } from './startup.ts'

export interface ServeDependencies extends LoginDependencies {
  readonly sittings: Sittings
  readonly catalogs: Catalogs
  readonly notices: Notices
  /** What the authorizations ask. */
  readonly changes: GrantChanges
  readonly grants: GrantSource
  readonly registry: Registry
  readonly clock: Clock
}

/** What all connections share, whatever door they came in by. */
export interface Hall {
  readonly cancelRequests: CancelRequests
  readonly refusals: Refusals
  readonly crowd: Crowd
  readonly sessions: Sessions
  /** Aborted: nobody gets a session any more. */
  readonly closing: AbortSignal
}

/** A client's place in the house while it has no session. */
export interface Place {
  /** It has said all that it was waited for. */
  readonly heard: () => void
  /** It is not let in, and stays only to hear so. */
  readonly refused: () => void
}

/** The rules of one door. */
export interface Entrance {
  /** From where a client may log in without TLS. */
  readonly plaintext: Networks
  readonly authentication: Authentication
}

type Startup = Extract<Opening['packet'], { readonly type: 'startup' }>

const cancelTimeoutMs = 5_000
/** Of what a client calls itself, in characters: to be read in a list. */
const mostOfAName = 100

/**
 * Serves a startup packet until the relay has taken over. Throws the Failure to answer with.
 */
export async function serve(
  { socket, intake, peer: named, tls }: Opening,
  startup: Startup,
  place: Place,
  entrance: Entrance,
  hall: Hall,
  deps: ServeDependencies,
): Promise<void> {
  const { parameters } = startup
  const client = tls?.client ?? { type: 'none' }
  const peer = client.type === 'verified' ? { ...named, certificate: client.certificate } : named
  const { version, reply } = agree(startup)
  if (reply !== undefined) socket.write(reply)
  const user = parameters.get('user') ?? ''
  if (user === '') {
    throw new Failure('invalid_authorization', {
      message: 'no PostgreSQL user name specified in startup packet',
    })
  }
  refuseReplication(parameters)
  if (tls === undefined && !entrance.plaintext.has(peer.address)) throw tlsRequired()
  if (client.type === 'refused') throw certificateRefused(client.reason)
  const claim = claimOf(user)
  const write = (bytes: Buffer): void => void socket.write(bytes)
  const certificate = tls?.certificate
  const proof = await askProof(entrance.authentication, { intake, write, claim, certificate })
  const provedAt = deps.clock.elapsed()
  place.heard()
  // Whose time was up, or whose place was taken, has been told so: what it says now opens nothing.
  if (proof === undefined || socket.writableEnded) {
    socket.destroy()
    return
  }
  if (hall.closing.aborted) throw shuttingDown()
  const trace = deps.tracing.login()
  const applicant = {
    parameters,
    claim,
    serverName: tls?.serverName,
    peer,
    write,
    refused: place.refused,
    trace,
    waited: () => (deps.clock.elapsed() - provedAt) / 1_000,
  }
  try {
    const encrypted = tls?.version ?? false
    const login = { proof, tls: encrypted, version, early: intake } as const
    const session = await open(socket, applicant, login, hall, deps)
    trace.ended(session)
  } catch (error) {
    trace.failed(error)
    throw error
  }
}

/** From the proof to the running relay. Resolves when the client has been greeted. */
async function open(
  socket: Socket,
  applicant: Applicant,
  login: {
    readonly proof: Proof
    /** The version of the client's TLS. */
    readonly tls: string | false
    /** Of the protocol. */
    readonly version: number
    /** What the client has sent behind its proof. */
    readonly early: Intake
  },
  hall: Hall,
  deps: ServeDependencies,
): Promise<LiveSession> {
  const { peer } = applicant
  const loggedIn = await logIn(deps, hall, applicant, login.proof)
  const upstream = loggedIn.upstream.socket
  // Before the relay nobody else listens to it.
  upstream.on('error', () => upstream.destroy())
  await deps.catalogs.ready(loggedIn.authorization.grant.target)
  const id = randomUUID()
  const context = contextOf(id, loggedIn, peer, login.tls)
  try {
    await recordStart(id, context, loggedIn, socket, peer, hall, deps)
  } catch (error) {
    loggedIn.use.released()
    loggedIn.seat.giveBack()
    deps.meter.login('failed', asFailure(error).code, applicant.waited())
    throw error
  }
  const session = sessionOf(id, loggedIn, peer, deps.clock.now())
  const { version } = login
  const relay = startRelay(session, context, socket, version, loggedIn, hall, deps)
  deps.meter.login('ok', 'ok', applicant.waited())
  relay.start(loggedIn.upstream.rest, login.early.rest())
  return session
}

function contextOf(
  id: string,
  loggedIn: LoggedIn,
  peer: Peer,
  tls: string | false,
): SessionContext {
  const { grant, groups } = loggedIn.authorization
  const { lease } = loggedIn.use
  return sessionContext({
    session: id,
    principal: grant.principal,
    groups,
    grant: grant.id,
    requestId: grant.requestId,
    requestReason: grant.reason,
    role: grant.role,
    target: grant.target,
    databaseRole: lease.user,
    lease: lease.vaultLease ?? lease.id,
    client: peer.name,
    application: loggedIn.application,
    tls,
  })
}

/** What other processes are told of it. */
function sessionOf(
  id: string,
  { authorization: { grant }, application }: LoggedIn,
  peer: Peer,
  startedAt: number,
): LiveSession {
  return {
    id,
    grantId: grant.id,
    principal: grant.principal,
    target: grant.target,
    role: grant.role,
    client: peer.name,
    application: application === '' ? undefined : [...application].slice(0, mostOfAName).join(''),
    startedAt,
  }
}

/** No record, no session. */
async function recordStart(
  id: string,
  context: SessionContext,
  { authorization, upstream, terms }: LoggedIn,
  socket: Socket,
  peer: Peer,
  { closing }: Hall,
  { journal, clock }: ServeDependencies,
): Promise<void> {
  const { grant, tokenId } = authorization
  const beside = { durable: terms.opened.recording.fsync === 'batch' }
  journal.append(
    loginRecord({
      result: 'ok',
      reason: undefined,
      principal: grant.principal,
      target: grant.target,
      client: peer.name,
      certificate: peer.certificate,
      tokenId,
      session: id,
    }),
    undefined,
    beside,
  )
  try {
    await journal.record(sessionStartRecord(context, peer.certificate), beside)
  } catch (error) {
    upstream.socket.destroy()
    throw error
  }
  // A revoke, a change of the configuration or a shutdown since the token was looked up must win: from here
  // to an open session nothing is waited for.
  const ended =
    authorization.endedAt(clock.now()) ??
    terms.ended ??
    (closing.aborted ? shuttingDown() : undefined)
  if (ended === undefined && !socket.destroyed && !upstream.socket.destroyed) return
  upstream.socket.destroy()
  const reason = ended === undefined ? undefined : `ended: ${ended.message}`
  journal.append(
    sessionEndRecord(context, {
      reason: reason ?? (socket.destroyed ? 'client_gone' : 'upstream_gone'),
      statements: 0,
      durationMs: 0,
      bytesFromClient: 0,
      bytesToClient: 0,
    }),
  )
  throw ended ?? new Failure('upstream_lost', { message: 'the connection was lost during login' })
}

/** Greets the client as the upstream greeted us, with a cancel key of our own. */
function startRelay(
  session: LiveSession,
  context: SessionContext,
  socket: Socket,
  version: number,
  loggedIn: LoggedIn,
  { cancelRequests: { cancels }, sessions }: Hall,
  deps: ServeDependencies,
): Relay {
  const { authorization, upstream, terms, use, seat, pinned } = loggedIn
  const { clock, journal, meter, sittings } = deps
  const { recording, maxStatementBytes } = terms.opened
  const { statement } = deps.tracing
  const { id, role, target: targetName } = session
  const startedAt = clock.elapsed()
  const cancel = (): Promise<boolean> => upstream.cancel(cancelTimeoutMs)
  let key: CancelKey | undefined

  const unread = Catalog.unread(upstream.serverVersion)
  const catalog = (): Catalog => deps.catalogs.of(targetName) ?? unread

  const relay = new Relay(
    {
      authorization,
      context,
      recording,
      rules: () => terms.now,
      catalog,
      journal,
      clock,
      maxStatementBytes,
      pinned,
    },
    { client: socket, upstream: upstream.socket },
    {
      meter,
      application: loggedIn.application,
      trace: statement && ((ended) => statement(session, ended)),
      cancel,
      probe: probeOf(upstream),
      onCatalogChanged: () => deps.catalogs.changed(targetName),
      onTripped: (tripwire) => {
        deps.log.error({ session: id, ...tripwire }, 'a pinned setting was changed: see the audit')
      },
      onEnd: (ending) => {
        if (key !== undefined) cancels.forget(key)
        use.released()
        seat.giveBack()
        sessions.closed(live)
        deps.registry.closed(id)
        sittings.closed(authorization.tokenId)
        const { toClient, toUpstream } = relay.bytes
        journal.append(
          sessionEndRecord(context, {
            reason: describe(ending),
            statements: relay.session.statements,
            durationMs: clock.elapsed() - startedAt,
            bytesFromClient: toUpstream,
            bytesToClient: toClient,
          }),
        )
        logEnd(deps, { session: id, trace: loggedIn.traceId }, ending)
      },
    },
  )
  const tell = (notice: Buffer): boolean => relay.notice(notice)
  const loginEnd = new LoginEnd(use, tell)
  const grantEnd = new GrantEnd(authorization, clock, tell)
  const live = {
    authorization,
    clientClosed: new Promise((resolve) => socket.once('close', resolve)),
    look: () => {
      grantEnd.look()
      return terms.ended ?? loginEnd.look() ?? relay.overdue(terms.now.limits)
    },
    end: (failure: Failure) => relay.end(failure),
    leave: (failure: Failure) => relay.leave(failure),
    activity: () => ({ target: targetName, role, state: relay.session.activity }),
  }
  sessions.opened(live)
  deps.registry.opened(session, live.end)
  sittings.opened(authorization.tokenId)

  const greeting = [encodeBackend({ type: 'authenticationOk' }), upstream.greeting]
  // An upstream that gave no key cannot be cancelled: a key of length zero would kill clients.
  if (upstream.cancelKey.length > 0) {
    key = cancels.register(upstream.processId, version, {
      sessionId: id,
      cancel: () => relay.cancel(),
    })
    greeting.push(encodeBackend({ type: 'backendKeyData', ...key }))
  }
  greeting.push(encodeBackend({ type: 'readyForQuery', status: 'I' }))
  socket.write(Buffer.concat(greeting))
  return relay
}

/** A setting that the client knows already, said again. */
function probeOf({ reported }: Upstream): Buffer | undefined {
  const value = reported.get('server_version')
  if (value === undefined) return undefined
  return encodeBackend({ type: 'parameterStatus', name: 'server_version', value })
}

function describe({ reason, failure }: Ending): string {
  return failure === undefined ? reason : `${reason}: ${failure.message}`
}

function logEnd(
  { log }: ServeDependencies,
  whose: { readonly session: string; readonly trace: string | undefined },
  ending: Ending,
): void {
  const cause = ending.failure?.cause
  if (cause === undefined) log.info({ ...whose, reason: describe(ending) }, 'session ended')
  else log.error({ ...whose, err: cause }, 'session ended by an internal error')
}

function tlsRequired(): Failure {
  return new Failure('invalid_authorization', {
    message: 'connection requires TLS (sslmode=require)',
    detail: 'Neither tokens nor data may cross a network unencrypted.',
    hint: 'Connect with sslmode=require or stricter.',
  })
}

/** Said to a stranger: it is about what the stranger showed, and tells nothing else. */
function certificateRefused(reason: string): Failure {
  const why = new Map([
    ['CERT_HAS_EXPIRED', 'has expired'],
    ['CERT_NOT_YET_VALID', 'is not valid yet'],
    ['INVALID_PURPOSE', 'is not meant for clients'],
  ]).get(reason)
  return new Failure('invalid_authorization', {
    message: `client certificate ${why ?? 'is of no certificate authority that is trusted here'}`,
    detail: `Its verification ended with ${reason}.`,
    hint: 'Connect with a good certificate (sslcert and sslkey), or with none (sslcertmode=disable).',
  })
}
