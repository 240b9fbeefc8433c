// The part of the composition root that is about targets: for each of them whoever issues logins to it,
// whoever sees to it that they are gone, and whoever looks into it. Decides nothing; that these parts fit is
// proved by the compiler, here.

import type { Clock } from './clock.ts'
import type { Config, TargetConfig } from './config/config.ts'
import { Administration } from './credentials/administration.ts'
import type { AdministrativeLogin, Connect } from './credentials/administrative-connection.ts'
import { brokerCredentials } from './credentials/broker.ts'
import type { TargetCredentials } from './credentials/engine.ts'
import { type InspectedTarget, Inspection } from './credentials/inspection.ts'
import { Monitor } from './credentials/monitor.ts'
import { Connector } from './upstream/connector.ts'

/** Asked for each connection. */
type Login = () => Promise<AdministrativeLogin>

interface Surroundings {
  readonly connector: Connector
  readonly clock: Clock
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

export interface Targets {
  readonly credentials: ReadonlyMap<string, TargetCredentials>
  close(): Promise<void>
}

/** Connects to nothing yet. */
export function openTargets(config: Config, surroundings: Surroundings): Targets {
  const credentials = new Map<string, TargetCredentials>()
  const parts: { close(): Promise<void> }[] = []
  for (const [name, target] of config.targets) {
    const monitor = monitorOf(target, surroundings)
    if (monitor !== undefined) parts.push(monitor)
    const { type } = target.credentials
    switch (type) {
      case 'broker': {
        const { connector, onProblem } = surroundings
        const { broker } = target.credentials
        const managed = { ...target, credentials: { broker } }
        const connect = onPrimary(connector)
        const administration = new Administration(name, managed, connect, onProblem)
        parts.push(administration)
        credentials.set(name, brokerCredentials(name, managed, administration, monitor))
        break
      }
      case 'vault':
        throw new Error(`target "${name}" wants its logins from Vault`)
    }
  }
  return {
    credentials,
    close: async () => {
      await Promise.all(parts.map((part) => part.close()))
    },
  }
}

/** Looks into those targets for which there is a login to do it with. */
export function openInspection(
  { targets }: Pick<Config, 'targets'>,
  { connector, onProblem }: Surroundings,
): Inspection {
  const inspected = new Map<string, InspectedTarget>()
  for (const [name, target] of targets) {
    const login = monitorLogin(target) ?? brokerLogin(target)
    if (login !== undefined) inspected.set(name, { ...target, login })
  }
  return new Inspection(inspected, onPrimary(connector), onProblem)
}

function monitorOf(target: TargetConfig, { clock, onProblem }: Surroundings): Monitor | undefined {
  const login = monitorLogin(target)
  if (login === undefined) return undefined
  const { name, database, connectTimeoutMs } = target
  const servers = target.servers.map((server) => {
    const alone: TargetConfig = { ...target, servers: [server], targetSessionAttrs: 'any' }
    const connector = new Connector(new Map([[name, alone]]), clock)
    const connect: Connect = (request) => connector.connect(request)
    return { name: `${server.host}:${server.port}`, connect }
  })
  return new Monitor({ target: name, database, connectTimeoutMs, login, servers, onProblem })
}

function monitorLogin({ credentials: { monitor } }: TargetConfig): Login | undefined {
  switch (monitor?.type) {
    case undefined:
      return undefined
    case 'login':
      return () => Promise.resolve(monitor)
    case 'vault':
      throw new Error('a monitor wants its login from Vault')
  }
}

function brokerLogin({ credentials }: TargetConfig): Login | undefined {
  return credentials.type === 'broker' ? () => Promise.resolve(credentials.broker) : undefined
}

/** Roles are made, and catalogs read, where that is possible whatever sessions are wanted of a target. */
function onPrimary(connector: Connector): Connect {
  return (request) => connector.connect({ ...request, attributes: 'primary' })
}
