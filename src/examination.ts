// The composition root of `doctor`: constructs what is examined from a configuration, in the same way as
// `serve` constructs what it runs on, and closes it. Decides nothing; what a finding is, is decided in doctor/.

import type { Grant } from './access/access.ts'
import { randomId } from './access/id.ts'
import { readCertificate } from './certificates/files.ts'
import { systemClock as clock } from './clock.ts'
import { type Config, loadConfig, type TargetConfig } from './config/config.ts'
import type { BrokerConfig, VaultLoginConfig } from './config/credentials.ts'
import type { VaultConfig } from './config/vault.ts'
import { AdministrativeConnection } from './credentials/administrative-connection.ts'
import { type Engine, NotIssued, type TargetCredentials } from './credentials/engine.ts'
import type { Inspection } from './credentials/inspection.ts'
import { healthOf } from './credentials/vault/health.ts'
import { openVault, type Vault } from './credentials/vault/vault.ts'
import { examine, type Patient, type PatientTarget } from './doctor/doctor.ts'
import { type Finding, fail, ok } from './doctor/finding.ts'
import type { Premises } from './doctor/premises.ts'
import type { OwnLogin } from './doctor/rights.ts'
import type { Rights, Trial, TrialLogin } from './doctor/trial.ts'
import type { Need, VaultPatient } from './doctor/vault.ts'
import { Failure } from './errors.ts'
import { probeDirectory } from './journal/probe.ts'
import type { Secret } from './secret.ts'
import { lookAtStore } from './store/look.ts'
import { openTargets, type Targets } from './targets.ts'
import { Connector } from './upstream/connector.ts'
import { probe } from './upstream/probe.ts'

interface Examination {
  readonly configFile: string
  readonly target: string | undefined
  readonly signal: AbortSignal
  readonly onStep: (step: string) => void
}

/** How long the grant of a trial would last, and so the broker's role if nobody took it back. */
const trialMs = 10 * 60_000
const unheard = { asked: () => {}, breaker: () => {}, tokenEnds: () => {}, problem: () => {} }

/** @throws Failure not_found when there is no such target. */
export async function* examination(options: Examination): AsyncGenerator<Finding, void> {
  const { configFile, signal, onStep } = options
  let config: Config
  try {
    config = await loadConfig(configFile)
  } catch (error) {
    yield fail('configuration', error)
    return
  }
  const examined = chosen(config, options.target)
  const count = `${examined.length} ${examined.length === 1 ? 'target' : 'targets'}`
  yield ok('configuration', `${configFile} is sound; ${count} to look at`)

  const opened: { close(): Promise<void> }[] = []
  try {
    const vault = config.vault && openVault(config.vault, { clock, observer: unheard })
    if (vault !== undefined) opened.push({ close: () => vault.stop() })
    const targets = new Map(examined.map((target) => [target.name, target]))
    const connector = new Connector(targets, clock)
    const surroundings = { connector, vault, clock, onProblem: () => undefined }
    const logins = openTargets({ targets }, surroundings)
    opened.push(logins)
    const patient: Patient = {
      premises: premisesOf(config),
      vault: vault && config.vault && vaultPatient(config.vault, vault, examined),
      targets: examined.map((target) => targetPatient(target, logins, connector)),
    }
    yield* examine(patient, { clock, signal, onStep })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    yield fail('configuration', error)
  } finally {
    for (const each of opened.reverse()) await each.close()
  }
}

function chosen({ targets }: Config, name: string | undefined): readonly TargetConfig[] {
  if (name === undefined) return [...targets.values()]
  const target = targets.get(name)
  if (target !== undefined) return [target]
  throw new Failure('not_found', {
    message: `there is no target "${name}"`,
    hint: `Choose one of ${[...targets.keys()].join(', ')}.`,
  })
}

function premisesOf({ journal: { directory }, listen, store }: Config): Premises {
  return {
    journal: { directory, probe: () => probeDirectory(directory) },
    listeners: listen.flatMap(({ address, port, tls }) =>
      tls === undefined
        ? []
        : [
            {
              name: `${address} ${port}`,
              certificate: async () => (await readCertificate(tls)).chain,
            },
          ],
    ),
    store: (signal) => lookAtStore(store.url, signal),
  }
}

function vaultPatient(
  { addresses, tls, auth }: VaultConfig,
  vault: Vault,
  targets: readonly TargetConfig[],
): VaultPatient {
  return {
    method: auth.method,
    servers: addresses.map((address) => ({
      address,
      health: (signal) => healthOf(address, tls, signal),
    })),
    read: async (path) => (await vault.read(path)).data,
    write: async (path, body) => (await vault.write(path, body)).data,
    untouchable:
      auth.method === 'approle' && auth.wrapped
        ? 'a wrapped secret id can be unwrapped once, and serve needs it'
        : undefined,
    needs: needsOf(targets, auth.method),
  }
}

function needsOf(targets: readonly TargetConfig[], method: string): readonly Need[] {
  const logins = targets.flatMap(({ name, credentials }) => [
    ...(credentials.type === 'vault' ? credentials.vault.roles : []).map(
      ([role, login]) => [`to get logins for ${role} on ${name}`, login] as const,
    ),
    ...(credentials.monitor?.type === 'vault'
      ? [[`to get the monitor’s login on ${name}`, credentials.monitor] as const]
      : []),
  ])
  const update = (path: string, why: string): Need => ({ path, capability: 'update', why })
  return [
    ...logins.map(([why, login]): Need => ({ path: pathOf(login), capability: 'read', why })),
    ...(logins.some(([, { engine }]) => engine === 'dynamic')
      ? [
          update('sys/leases/renew', 'to renew the leases of logins'),
          update('sys/leases/revoke', 'to end logins'),
        ]
      : []),
    update('auth/token/renew-self', 'to keep its token'),
    ...(method === 'token' ? [] : [update('auth/token/revoke-self', 'to give its token back')]),
  ]
}

function pathOf({ engine, mount, role }: VaultLoginConfig): string {
  switch (engine) {
    case 'dynamic':
      return `${mount}/creds/${role}`
    case 'static':
      return `${mount}/static-creds/${role}`
    case 'kv':
      return `${mount}/data/${role}`
  }
}

function targetPatient(
  target: TargetConfig,
  logins: Targets,
  connector: Connector,
): PatientTarget {
  const { name, credentials, servers } = target
  const issuer = logins.credentials.get(name)
  if (issuer === undefined) throw new Error(`target ${name} has no credentials`)
  const sources = sourcesOf(target)
  return {
    name,
    servers: servers.map((server) => ({
      name: `${server.host}:${server.port}`,
      mode: server.tls.mode,
      probe: (signal) => probe(server, signal),
    })),
    broker:
      credentials.type === 'broker' ? brokerOf(target, credentials.broker, connector) : undefined,
    monitor: credentials.monitor && monitorOf(name, credentials.monitor, logins.inspection),
    fromVault: credentials.type === 'vault',
    trials: [...sources].map(([role, source]) => trialOf(role, source, target, issuer, connector)),
  }
}

function sourcesOf({ credentials }: TargetConfig): ReadonlyMap<string, string> {
  return credentials.type === 'vault'
    ? new Map([...credentials.vault.roles].map(([role, login]) => [role, pathOf(login)]))
    : new Map([...credentials.broker.creation.keys()].map((role) => [role, 'the broker']))
}

function brokerOf(
  target: TargetConfig,
  { user, password, owned, creation }: BrokerConfig,
  connector: Connector,
) {
  const connection = connectionAs(target, { user, password }, (request) =>
    connector.connect({ ...request, attributes: 'primary' }),
  )
  return {
    user,
    creation: [...creation.values()].flat(),
    reassignTo: owned === 'drop' ? undefined : owned.reassignTo,
    inspect: inspecting(connection),
  }
}

/** The monitor’s is the login that looks into a target, where there is one. */
function monitorOf(
  target: string,
  monitor: NonNullable<TargetConfig['credentials']['monitor']>,
  inspection: Inspection,
): OwnLogin {
  return {
    user: monitor.type === 'login' ? monitor.user : `the login at ${pathOf(monitor)}`,
    inspect: (work, signal) => inspection.inspect(target, work, signal),
  }
}

function trialOf(
  role: string,
  source: string,
  target: TargetConfig,
  issuer: TargetCredentials,
  connector: Connector,
): Trial {
  return {
    role,
    source,
    issue: async () => {
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
      }
      const record = {
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
        // It may have been made all the same; without a name there is nothing to take back by.
        const made = !(error instanceof NotIssued) && record.databaseRole !== undefined
        if (made) await engine.revoke(record).catch(() => undefined)
        throw error
      })
      const { user, vaultLease } = issued
      const held = { ...record, databaseRole: user, vaultLease }
      return loginOf({ ...issued, engine, held }, target, issuer, connector)
    },
  }
}
