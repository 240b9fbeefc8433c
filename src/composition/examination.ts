// The composition root of `doctor`: constructs what is examined from a configuration, in the same way as
// `serve` constructs what it runs on, and closes it. Decides nothing; what a finding is, is decided in doctor/.

import { readCertificate } from '../certificates/files.ts'
import { systemClock as clock } from '../clock.ts'
import { type Config, loadConfig, type TargetConfig } from '../config/config.ts'
import type { CheckpointConfig } from '../config/journal.ts'
import type { VaultConfig } from '../config/vault.ts'
import { healthOf } from '../credentials/vault/health.ts'
import { pathOf } from '../credentials/vault/login.ts'
import { unobserved } from '../credentials/vault/observer.ts'
import { openVault, type Vault } from '../credentials/vault/vault.ts'
import { type Deployment, examine } from '../doctor/doctor.ts'
import { type Finding, fail, ok } from '../doctor/finding.ts'
import type { Premises } from '../doctor/premises.ts'
import type { ExaminedVault, Need } from '../doctor/vault.ts'
import { Failure } from '../errors.ts'
import { probeDirectory } from '../journal/probe.ts'
import { isLoopback } from '../loopback.ts'
import { lookAtStore } from '../store/look.ts'
import { Connector } from '../upstream/connector.ts'
import { openExamined } from './examination-target.ts'
import { openTargets } from './targets.ts'

interface Examination {
  readonly configFile: string
  readonly target: string | undefined
  readonly signal: AbortSignal
  readonly onStep: (step: string) => void
}

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
    const vault = config.vault && openVault(config.vault, { clock, observer: unobserved })
    if (vault !== undefined) opened.push({ close: () => vault.stop() })
    const targets = new Map(examined.map((target) => [target.name, target]))
    const connector = new Connector(targets, clock)
    const surroundings = { connector, vault, clock, onProblem: () => undefined }
    const logins = openTargets({ targets }, surroundings)
    opened.push(logins)
    const parts = examined.map((target) => openExamined(target, { logins, connector, clock }))
    opened.push(...parts)
    const deployment: Deployment = {
      premises: premisesOf(config),
      vault:
        vault &&
        config.vault &&
        examinedVault(config.vault, vault, examined, config.journal.checkpoints?.key),
      targets: parts,
    }
    yield* examine(deployment, { clock, signal, onStep })
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

function premisesOf({ journal: { directory }, listen, http, store }: Config): Premises {
  const listeners = [
    ...listen.map(({ address, port, tls }) => ({ name: `${address} ${port}`, tls })),
    { name: `http ${http.address} ${http.port}`, tls: http.tls },
    { name: `http.metrics ${http.metrics.address} ${http.metrics.port}`, tls: http.metrics.tls },
  ]
  return {
    journal: { directory, probe: () => probeDirectory(directory) },
    listeners: listeners.flatMap(({ name, tls }) =>
      tls === undefined
        ? []
        : [{ name, certificate: async () => (await readCertificate(tls)).chain }],
    ),
    store: (signal) => lookAtStore(store.url, signal),
  }
}

function examinedVault(
  { addresses, tls, auth }: VaultConfig,
  vault: Vault,
  targets: readonly TargetConfig[],
  key: CheckpointConfig['key'] | undefined,
): ExaminedVault {
  return {
    method: auth.method,
    servers: addresses.map((address) => ({
      address,
      loopback: isLoopback(new URL(address).hostname),
      health: (signal) => healthOf(address, tls, signal),
    })),
    read: async (path) => (await vault.read(path)).data,
    write: async (path, body) => (await vault.write(path, body)).data,
    untouchable:
      auth.method === 'approle' && auth.wrapped
        ? 'a wrapped secret id can be unwrapped once, and serve needs it'
        : undefined,
    needs: [...needsOf(targets, auth.method), ...signingNeeds(key)],
  }
}

function signingNeeds(key: CheckpointConfig['key'] | undefined): readonly Need[] {
  if (key?.type !== 'vault') return []
  const why = 'to sign checkpoints of the audit journal'
  return [
    { path: `${key.mount}/sign/${key.name}`, capability: 'update', why },
    { path: `${key.mount}/keys/${key.name}`, capability: 'read', why },
  ]
}

function needsOf(targets: readonly TargetConfig[], method: string): readonly Need[] {
  const logins = targets.flatMap(({ name, credentials: { monitor, ...credentials } }) => {
    const roles = credentials.type === 'vault' ? [...credentials.vault.roles] : []
    return [
      ...roles.map(([role, login]) => ({ why: `to get logins for ${role} on ${name}`, login })),
      ...(monitor?.type === 'vault'
        ? [{ why: `to get the monitor’s login on ${name}`, login: monitor.login }]
        : []),
    ]
  })
  const update = (path: string, why: string): Need => ({ path, capability: 'update', why })
  return [
    ...logins.map(
      ({ why, login }): Need => ({ path: pathOf(login.engine, login), capability: 'read', why }),
    ),
    ...(logins.some(({ login }) => login.engine === 'dynamic')
      ? [
          update('sys/leases/renew', 'to renew the leases of logins'),
          update('sys/leases/revoke', 'to end logins'),
        ]
      : []),
    update('auth/token/renew-self', 'to keep its token'),
    ...(method === 'token' ? [] : [update('auth/token/revoke-self', 'to give its token back')]),
  ]
}
