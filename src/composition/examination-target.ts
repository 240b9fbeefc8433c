// The part of the composition root of `doctor` that is about one target: its servers, pgwarden's own logins
// there, and a login for each role, as the engines of `serve` make them. Decides nothing.

import type { Grant } from '../access/access.ts'
import { randomId } from '../access/id.ts'
import type { LeaseRecord } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import type { TargetConfig } from '../config/config.ts'
import type { AdministrativeLogin, Connect } from '../credentials/administrative-connection.ts'
import {
  type Engine,
  type Issued,
  NotIssued,
  type TargetCredentials,
} from '../credentials/engine.ts'
import { Inspection } from '../credentials/inspection.ts'
import { pathOf } from '../credentials/vault/login.ts'
import type { ExaminedTarget } from '../doctor/doctor.ts'
import type { BrokerLogin, OwnLogin } from '../doctor/rights.ts'
import type { Rights, Trial, TrialLogin } from '../doctor/trial.ts'
import { Failure } from '../errors.ts'
import type { Connector } from '../upstream/connector.ts'
import { probe } from '../upstream/probe.ts'
import type { Inspector, Targets } from './targets.ts'

interface Surroundings {
  readonly logins: Targets
  readonly connector: Connector
  readonly clock: Clock
}

/** How long the grant of a trial would last, and so the broker's role if nobody took it back. */
const trialMs = 10 * 60_000

/** Connects to nothing yet. */
export function openExamined(
  target: TargetConfig,
  surroundings: Surroundings,
): ExaminedTarget & { close(): Promise<void> } {
  const { name, credentials, servers } = target
  const { logins, connector } = surroundings
  const issuer = logins.credentials.get(name)
  if (issuer === undefined) throw new Error(`target ${name} has no credentials`)
  // Where there is a monitor, it is the monitor that looks into the target for serve.
  const asBroker = inspectionAs(target, brokerLogin(target), (request) =>
    connector.connect({ ...request, attributes: 'primary' }),
  )
  return {
    name,
    servers: servers.map((server) => ({
      name: `${server.host}:${server.port}`,
      mode: server.tls.mode,
      probe: (signal) => probe(server, signal),
    })),
    broker: brokerOf(target, asBroker),
    monitor: monitorOf(target, logins.inspection),
    needsVault: credentials.type === 'vault' || credentials.monitor?.type === 'vault',
    trials: sourcesOf(target).map(([role, source]) => ({
      role,
      source,
      issue: () => issueTrial(role, target, issuer, surroundings),
    })),
    close: () => asBroker.close(),
  }
}

function sourcesOf({ credentials }: TargetConfig): readonly (readonly [string, string])[] {
  return credentials.type === 'vault'
    ? [...credentials.vault.roles].map(([role, login]) => [role, pathOf(login.engine, login)])
    : [...credentials.broker.creation.keys()].map((role) => [role, 'the broker'])
}

function brokerLogin({ credentials }: TargetConfig): AdministrativeLogin | undefined {
  return credentials.type === 'broker' ? credentials.broker : undefined
}

function brokerOf(target: TargetConfig, inspection: Inspection): BrokerLogin | undefined {
  const { name, credentials } = target
  if (credentials.type !== 'broker') return undefined
  const { user, owned, creation } = credentials.broker
  return {
    user,
    creation: [...creation.values()].flat(),
    reassignTo: owned === 'drop' ? undefined : owned.reassignTo,
    inspect: (work, signal) => inspection.inspect(name, work, signal),
  }
}

function monitorOf(
  { name, credentials: { monitor } }: TargetConfig,
  inspection: Inspector,
): OwnLogin | undefined {
  return (
    monitor && {
      user:
        monitor.type === 'login'
          ? monitor.user
          : `the login at ${pathOf(monitor.login.engine, monitor.login)}`,
      inspect: (work, signal) => inspection.inspect(name, work, signal),
    }
  )
}

function inspectionAs(
  target: TargetConfig,
  login: AdministrativeLogin | undefined,
  connect: Connect,
): Inspection {
  const inspected = login && { ...target, login: () => Promise.resolve(login) }
  return new Inspection(
    new Map(inspected === undefined ? [] : [[target.name, inspected]]),
    connect,
    () => undefined,
  )
}

async function issueTrial(
  role: string,
  target: TargetConfig,
  issuer: TargetCredentials,
  { connector, clock }: Surroundings,
): ReturnType<Trial['issue']> {
  const engine = issuer.engineFor(role)
  const now = clock.now()
  const grant: Grant = {
    id: randomId(),
    principal: 'pgwarden-doctor',
    target: target.name,
    role,
    startsAt: now,
    endsAt: now + trialMs,
    revokedAt: undefined,
    reason: 'a trial',
    requestId: undefined,
    relations: undefined,
    claims: {},
  }
  const record: LeaseRecord = {
    id: randomId(),
    grantId: grant.id,
    target: target.name,
    engine: engine.kind,
    instance: 'doctor',
    issuedAt: now,
    databaseRole: engine.nameFor(grant),
    vaultLease: undefined,
    expiresAt: engine.boundFor(grant),
  }
  const issued = await engine.issue(record, grant).catch(async (error: unknown) => {
    // It may have been made all the same; without a name there is nothing to take it back by.
    const made = !(error instanceof NotIssued) && record.databaseRole !== undefined
    if (made) await engine.revoke(record).catch(() => undefined)
    throw error
  })
  const held = { ...record, databaseRole: issued.user, vaultLease: issued.vaultLease }
  return trialLogin(issued, held, engine, {
    logIn: (signal) => lookAtItself(target, issued, connector, signal),
    monitor: issuer.monitor,
    clock,
  })
}

function trialLogin(
  { user, lifeMs, renewable }: Issued,
  held: LeaseRecord,
  engine: Engine,
  around: {
    readonly logIn: TrialLogin['logIn']
    readonly monitor: TargetCredentials['monitor']
    readonly clock: Clock
  },
): TrialLogin {
  const { logIn, monitor, clock } = around
  return {
    user,
    roles: engine.roles,
    lifeMs,
    renewable,
    logIn,
    renew: async () => {
      await engine.renew(held, clock.now() + (lifeMs ?? 0))
    },
    revoke: async () => {
      // A monitor that cannot work must not keep the login alive; what it says is said elsewhere.
      await monitor?.endBackends(user).catch(() => undefined)
      await engine.revoke(held)
    },
    confirmGone: monitor && (() => monitor.confirmGone(user, engine.roles)),
  }
}

/** Of the login, and of the role as which it works, where those are two. */
const rights = `
  select bool_or(rolsuper) as superuser, bool_or(rolbypassrls) as "bypassesRowSecurity",
         bool_or(rolreplication) as replicates, bool_or(rolcreaterole) as "makesRoles"
    from pg_catalog.pg_roles where rolname in (session_user, current_user)`

async function lookAtItself(
  target: TargetConfig,
  login: AdministrativeLogin,
  connector: Connector,
  signal: AbortSignal,
): Promise<Rights | 'refused'> {
  const attempt = { refused: false }
  const inspection = inspectionAs(target, login, (request) =>
    connector.connect(request).catch((error: unknown) => {
      attempt.refused = error instanceof Failure && error.code === 'login_refused'
      throw error
    }),
  )
  try {
    const [found] = await inspection.inspect(target.name, (query) => query<Rights>(rights), signal)
    if (found === undefined) throw new Error('the target did not answer')
    return found
  } catch (error) {
    if (attempt.refused) return 'refused'
    throw error
  } finally {
    await inspection.close()
  }
}
