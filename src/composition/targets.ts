// The part of the composition root that is about targets: for each of them whoever issues logins to it,
// whoever sees to it that they are gone, and whoever looks into it. Decides nothing; that these parts fit is
// proved by the compiler, here.

import type { Clock } from '../clock.ts'
import type { Config, TargetConfig } from '../config/config.ts'
import { Administration } from '../credentials/administration.ts'
import type { AdministrativeLogin, Connect } from '../credentials/administrative-connection.ts'
import { brokerCredentials } from '../credentials/broker.ts'
import type { TargetCredentials } from '../credentials/engine.ts'
import { type InspectedTarget, Inspection } from '../credentials/inspection.ts'
import { Monitor } from '../credentials/monitor.ts'
import { vaultCredentials } from '../credentials/vault/credentials.ts'
import { OwnLogin } from '../credentials/vault/own-login.ts'
import type { Vault } from '../credentials/vault/vault.ts'
import { Failure } from '../errors.ts'
import { Connector } from '../upstream/connector.ts'

/** Asked for each connection. */
interface Login {
  current(): Promise<AdministrativeLogin>
}

interface Surroundings {
  readonly connector: Connector
  /** Where one is configured. */
  readonly vault: Vault | undefined
  readonly clock: Clock
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

export interface Targets {
  readonly credentials: ReadonlyMap<string, TargetCredentials>
  /** Looks into those targets for which there is a login to do it with. */
  readonly inspection: Inspection
  close(): Promise<void>
}

/** Connects to nothing yet. */
export function openTargets(config: Pick<Config, 'targets'>, surroundings: Surroundings): Targets {
  const { connector, clock, onProblem } = surroundings
  const connect = onPrimary(connector)
  const credentials = new Map<string, TargetCredentials>()
  const inspected = new Map<string, InspectedTarget>()
  const connections: { close(): Promise<void> }[] = []
  const ownLogins: OwnLogin[] = []
  for (const [name, target] of config.targets) {
    const own = monitorLogin(target, surroundings)
    if (own instanceof OwnLogin) ownLogins.push(own)
    const monitor = own && monitorOf(target, () => own.current(), surroundings)
    if (monitor !== undefined) connections.push(monitor)
    const { type } = target.credentials
    switch (type) {
      case 'broker': {
        const { broker } = target.credentials
        const managed = { ...target, credentials: { broker } }
        const administration = new Administration(name, managed, connect, onProblem)
        connections.push(administration)
        credentials.set(name, brokerCredentials(name, managed, administration, monitor))
        break
      }
      case 'vault': {
        const vault = configured(surroundings.vault)
        const logins = { name, vault, clock, monitor, ...target.credentials.vault }
        credentials.set(name, vaultCredentials(logins))
        break
      }
    }
    const looking = own ?? brokerLogin(target)
    if (looking !== undefined) inspected.set(name, { ...target, login: () => looking.current() })
  }
  const inspection = new Inspection(inspected, connect, onProblem)
  return {
    credentials,
    inspection,
    close: async () => {
      await Promise.all([inspection, ...connections].map((part) => part.close()))
      await Promise.all(ownLogins.map((login) => login.stop()))
    },
  }
}

function monitorOf(
  target: TargetConfig,
  login: InspectedTarget['login'],
  { clock, onProblem }: Surroundings,
): Monitor {
  const { name, database, connectTimeoutMs } = target
  const servers = target.servers.map((server) => {
    const alone: TargetConfig = { ...target, servers: [server], targetSessionAttrs: 'any' }
    const connector = new Connector(new Map([[name, alone]]), clock)
    const connect: Connect = (request) => connector.connect(request)
    return { name: `${server.host}:${server.port}`, connect }
  })
  return new Monitor({ target: name, database, connectTimeoutMs, login, servers, onProblem })
}

function monitorLogin(
  { credentials: { monitor } }: TargetConfig,
  { vault, clock }: Surroundings,
): Login | undefined {
  switch (monitor?.type) {
    case undefined:
      return undefined
    case 'login':
      return { current: () => Promise.resolve(monitor) }
    case 'vault':
      return new OwnLogin({ vault: configured(vault), clock, login: monitor.login })
  }
}

function brokerLogin({ credentials }: TargetConfig): Login | undefined {
  if (credentials.type !== 'broker') return undefined
  return { current: () => Promise.resolve(credentials.broker) }
}

/** The configuration has seen to it. */
function configured(vault: Vault | undefined): Vault {
  if (vault !== undefined) return vault
  throw new Failure('invalid_configuration', { message: 'there is no Vault in the configuration' })
}

/** Roles are made, and catalogs read, where that is possible whatever sessions are wanted of a target. */
function onPrimary(connector: Connector): Connect {
  return (request) => connector.connect({ ...request, attributes: 'primary' })
}
