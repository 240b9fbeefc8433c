// The part of the composition root that is about targets: for each of them whoever issues logins to it,
// whoever sees to it that they are gone, and whoever looks into it. Decides nothing; that these parts fit is
// proved by the compiler, here.

import type { Clock } from '../clock.ts'
import type { Config, TargetConfig } from '../config/config.ts'
import { Administration } from '../credentials/administration.ts'
import type { AdministrativeLogin, Connect } from '../credentials/administrative-connection.ts'
import { brokerCredentials } from '../credentials/broker.ts'
import { placeOf, type TargetCredentials } from '../credentials/engine.ts'
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

export interface Surroundings {
  readonly connector: Connector
  /** Where one is configured. */
  readonly vault: Vault | undefined
  readonly clock: Clock
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

/** Looks into targets. */
export type Inspector = Pick<Inspection, 'inspect'>

/** One target, as it is configured at one time. */
export interface OpenTarget {
  readonly credentials: TargetCredentials
  /** Of this target alone; where there is a login to do it with. */
  readonly inspection: Inspector
  close(): Promise<void>
}

/** Connects to nothing yet. */
export function openTarget(target: TargetConfig, surroundings: Surroundings): OpenTarget {
  const { connector, clock, onProblem } = surroundings
  const { name } = target
  const connect = onPrimary(connector)
  const connections: { close(): Promise<void> }[] = []
  const own = monitorLogin(target, surroundings)
  const monitor = own && monitorOf(target, () => own.current(), surroundings)
  if (monitor !== undefined) connections.push(monitor)
  const looking = own ?? brokerLogin(target)
  const inspected: InspectedTarget | undefined = looking && {
    ...target,
    login: () => looking.current(),
  }
  const inspection = new Inspection(
    new Map(inspected === undefined ? [] : [[name, inspected]]),
    connect,
    onProblem,
  )
  connections.push(inspection)
  return {
    credentials: credentialsOf(),
    inspection,
    close: async () => {
      await Promise.all(connections.map((part) => part.close()))
      if (own instanceof OwnLogin) await own.stop()
    },
  }

  function credentialsOf(): TargetCredentials {
    const { type } = target.credentials
    switch (type) {
      case 'broker': {
        const { broker } = target.credentials
        const managed = { ...target, credentials: { broker } }
        const administration = new Administration(name, managed, connect, onProblem)
        connections.push(administration)
        return brokerCredentials(name, managed, administration, monitor)
      }
      case 'vault': {
        const vault = configured(surroundings.vault, target)
        const logins = { name, vault, clock, monitor, ...target.credentials.vault }
        return vaultCredentials({ ...logins, place: placeOf(target) })
      }
    }
  }
}

export interface Targets {
  readonly credentials: ReadonlyMap<string, TargetCredentials>
  readonly inspection: Inspector
  close(): Promise<void>
}

/** All of a configuration. Connects to nothing yet. */
export function openTargets(config: Pick<Config, 'targets'>, surroundings: Surroundings): Targets {
  const opened = new Map(
    [...config.targets].map(([name, target]) => [name, openTarget(target, surroundings)]),
  )
  return {
    credentials: new Map([...opened].map(([name, { credentials }]) => [name, credentials])),
    inspection: inspectorOf(opened),
    close: async () => {
      await Promise.all([...opened.values()].map((target) => target.close()))
    },
  }
}

/** `targets` are asked by name each time. */
export function inspectorOf(targets: {
  get(name: string): { readonly inspection: Inspector } | undefined
}): Inspector {
  return {
    inspect: (name, work, signal) => {
      const target = targets.get(name)
      if (target !== undefined) return target.inspection.inspect(name, work, signal)
      return Promise.reject(
        new Failure('invalid_configuration', { message: `there is no target "${name}"` }),
      )
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

function monitorLogin(target: TargetConfig, { vault, clock }: Surroundings): Login | undefined {
  const { monitor } = target.credentials
  switch (monitor?.type) {
    case undefined:
      return undefined
    case 'login':
      return { current: () => Promise.resolve(monitor) }
    case 'vault':
      return new OwnLogin({ vault: configured(vault, target), clock, login: monitor.login })
  }
}

function brokerLogin({ credentials }: TargetConfig): Login | undefined {
  if (credentials.type !== 'broker') return undefined
  return { current: () => Promise.resolve(credentials.broker) }
}

/** A file is whole in this; but a section `vault` that is new in it waits for a restart. */
function configured(vault: Vault | undefined, { name }: TargetConfig): Vault {
  if (vault !== undefined) return vault
  throw new Failure('invalid_configuration', {
    message: `target "${name}" needs Vault, and pgwarden was started without one`,
    hint: 'The section vault takes effect with a restart.',
  })
}

/** Roles are made, and catalogs read, where that is possible whatever sessions are wanted of a target. */
function onPrimary(connector: Connector): Connect {
  return (request) => connector.connect({ ...request, attributes: 'primary' })
}
