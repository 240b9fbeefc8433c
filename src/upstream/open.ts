// Opens a session on one server: connection, TLS as its mode says, login, and a look at what kind of
// session it is. Ignorant of other servers.

import net from 'node:net'
import type { Secret } from '../secret.ts'
import type { KeySource } from '../wire/scram-client.ts'
import { Authentication } from './authentication.ts'
import { cancelSession } from './cancel.ts'
import { Login } from './login.ts'
import { ServerProblem } from './problem.ts'
import { type Fitness, fitness, reportedState, stateOf, stateQuery } from './session-attributes.ts'
import type { AuthenticationTerms, SessionAttributes } from './target.ts'
import { attempts, type Encryption, openTransport, type PreparedServer } from './tls.ts'

/** An open session on a target. */
export interface Upstream {
  /** Paused; nothing of ours reads from it. */
  readonly socket: net.Socket
  /** Which of the target's, as `host:port` of the configuration. */
  readonly server: string
  readonly processId: number
  /** The server's own cancel key. Empty when it sent none. */
  readonly cancelKey: Buffer
  /** ParameterStatus and notices, as they came. */
  readonly greeting: Buffer
  /** The settings that the server reported, names in lower case. */
  readonly reported: ReadonlyMap<string, string>
  /** As server_version_num; undefined when the server did not say. */
  readonly serverVersion: number | undefined
  /** Bytes that came behind ReadyForQuery. */
  readonly rest: Buffer
  /**
   * Asks the session's own server to cancel what runs in it. Resolves true when it has taken the
   * request, false when it could not be reached in time. Never rejects.
   */
  cancel(timeoutMs: number): Promise<boolean>
}

export interface SessionWanted {
  /** The whole startup packet, `user` and `database` included. */
  readonly parameters: ReadonlyMap<string, string>
  readonly password: Secret
  readonly terms: AuthenticationTerms
  readonly attributes: SessionAttributes
  readonly keys: KeySource
}

export interface Opened {
  readonly upstream: Upstream
  readonly fitness: Exclude<Fitness, 'unfit'>
}

/** Throws a ServerProblem. */
export async function openSession(
  server: PreparedServer,
  wanted: SessionWanted,
  signal: AbortSignal,
): Promise<Opened> {
  const [first, second] = attempts[server.tls.mode]
  try {
    return await attempt(server, first, wanted, signal)
  } catch (error) {
    if (second === undefined || signal.aborted || !aboutEncryption(error)) throw error
    return attempt(server, second, wanted, signal)
  }
}

/** Whether the other encryption may do: there is no TLS, or pg_hba.conf wants none, or only that. */
function aboutEncryption(error: unknown): boolean {
  if (!(error instanceof ServerProblem)) return false
  return error.kind === 'tls' || (error.kind === 'refused' && error.sqlstate === '28000')
}

async function attempt(
  server: PreparedServer,
  encryption: Encryption,
  wanted: SessionWanted,
  signal: AbortSignal,
): Promise<Opened> {
  const { parameters, password, terms, attributes, keys } = wanted
  const { socket, endPoint } = await openTransport(server, encryption, signal)
  try {
    const { remoteAddress = server.host, remotePort = server.port } = socket
    const user = parameters.get('user') ?? ''
    const around = { encryption, endPoint, loopback: isLoopback(remoteAddress) }
    const authentication = new Authentication(terms, { user, password }, around, keys)
    const login = new Login(socket, authentication, signal)
    await login.start(parameters)
    const fitting = await fitnessOf(login, attributes, parameters)
    if (fitting === 'unfit') throw new ServerProblem('unfit', `is not ${attributes}`)
    const { processId, cancelKey, greeting, reported, rest } = login
    // A name can stand for several servers: the session's own is at the address that was found then.
    const address = { host: remoteAddress, port: remotePort }
    return {
      fitness: fitting,
      upstream: {
        socket,
        server: `${server.host}:${server.port}`,
        processId,
        cancelKey,
        greeting,
        reported,
        serverVersion: versionNumber(reported.get('server_version')),
        rest,
        cancel: (timeoutMs) =>
          cancelSession(server, { encryption, address, processId, cancelKey }, timeoutMs),
      },
    }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

const loopback = new net.BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

export function isLoopback(address: string): boolean {
  return loopback.check(address, net.isIPv6(address) ? 'ipv6' : 'ipv4')
}

async function fitnessOf(
  login: Login,
  attributes: SessionAttributes,
  parameters: ReadonlyMap<string, string>,
): Promise<Fitness> {
  if (attributes === 'any') return 'fits'
  const [recovery = '', readOnly = ''] =
    reportedState(login.reported) ?? (await login.ask(stateQuery))
  return fitness(attributes, stateOf([recovery, readOnly], parameters))
}

/** `18.4 (Debian 18.4-1)` is 180004; a release in preparation, `19beta1`, is 190000. */
function versionNumber(version: string | undefined): number | undefined {
  const parts = /^(\d+)(?:\.(\d+))?/.exec(version ?? '')
  return parts === null ? undefined : Number(parts[1]) * 10_000 + Number(parts[2] ?? 0)
}
