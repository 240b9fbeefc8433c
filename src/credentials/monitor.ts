// Sees to it that a login that was taken back is out of its target: ends what its sessions still run there,
// and looks whether role and sessions are gone, on each server of the target, since a standby's sessions
// outlive a role that was dropped on the primary. Ignorant of leases and of who takes logins back.
// Needs pg_signal_backend, and for roles that serve others too pg_read_all_stats: no more than that.

import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientBase, DatabaseError } from 'pg'
import { Failure } from '../errors.ts'
import {
  AdministrativeConnection,
  type AdministrativeLogin,
  type Connect,
} from './administrative-connection.ts'
import { countBackends, countNameless, endBackends } from './backends.ts'
import type { Backend } from './engine.ts'

export interface MonitorOptions {
  /** The target's name. */
  readonly target: string
  readonly database: string
  readonly connectTimeoutMs: number
  /** Asked for each new connection. */
  readonly login: () => Promise<AdministrativeLogin>
  /** All of the target, each with a way to itself alone. `name`: its `host:port`. */
  readonly servers: readonly { readonly name: string; readonly connect: Connect }[]
  /** How long to wait for what takes a moment: a rollback, and a DROP ROLE on its way to a standby. */
  readonly patienceMs?: number
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

interface Server {
  readonly name: string
  readonly connection: AdministrativeConnection
}

const pauseMs = 50
const defaultPatienceMs = 5_000
/** Roles that were seen before they were dropped, and not yet confirmed to be gone. */
const mostSeen = 10_000

export class Monitor {
  readonly #target: string
  readonly #servers: readonly Server[]
  readonly #patienceMs: number
  /** By role: its oid, as long as its backends may outlive its name. */
  readonly #seen = new Map<string, number>()

  /** Connects to nothing yet. */
  constructor({ servers, patienceMs = defaultPatienceMs, ...options }: MonitorOptions) {
    this.#target = options.target
    this.#patienceMs = patienceMs
    this.#servers = servers.map(({ name, connect }) => ({
      name,
      connection: new AdministrativeConnection({
        ...options,
        applicationName: 'pgwarden monitor',
        // A database's owner can set another one for us, with a pg_stat_activity that shows nothing.
        settings: [['search_path', 'pg_catalog']],
        connect,
      }),
    }))
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map(({ connection }) => connection.close()))
  }

  /**
   * Ends the role's backends, or of a shared role only these, on every server that can be reached.
   * Resolves when none is left on any. @throws Failure whose cause says what is left, and where.
   */
  endBackends(role: string, only?: readonly Backend[]): Promise<void> {
    return this.#everywhere(
      'the sessions of a revoked login were not all ended on',
      (client, server) => this.#end(client, role, on(server, only)),
    )
  }

  /**
   * Looks for a while until no backend is left (of a shared role: none of these), nor the role where
   * it is the login's own. @throws Failure whose cause says what is left, and where; also when a server cannot be asked.
   */
  confirmGone(role: string, roles: 'own' | 'shared', only?: readonly Backend[]): Promise<void> {
    const whose = roles === 'shared' ? (only ?? []) : only
    return this.#everywhere(
      'it was not confirmed that a revoked login is gone from',
      (client, server) => this.#confirm(client, role, roles === 'own', on(server, whose)),
    ).then(() => {
      this.#seen.delete(role)
    })
  }

  async #end(
    client: ClientBase,
    role: string,
    only: readonly Backend[] | undefined,
  ): Promise<void> {
    if (only !== undefined) await mayLookInside(client)
    const oid = await oidIn(client, role)
    if (oid !== undefined) this.#remember(role, oid)
    try {
      await endBackends(client, { role, oid: this.#oidOf(role, only), only }, this.#patienceMs)
    } catch (error) {
      throw isDenied(error) ? await whyDenied(client, error) : error
    }
  }

  async #confirm(
    client: ClientBase,
    role: string,
    own: boolean,
    only: readonly Backend[] | undefined,
  ): Promise<void> {
    if (only !== undefined) await mayLookInside(client)
    for (let waited = 0; ; waited += pauseMs) {
      const there = own && (await oidIn(client, role)) !== undefined
      const oid = this.#oidOf(role, only)
      const left = await countBackends(client, { role, oid, only })
      // Who dropped it before we came, as Vault does by itself at a lease's end, may have left its sessions.
      const unknown = own && !there && oid === undefined ? await countNameless(client) : 0
      if (!there && left + unknown === 0) return
      if (waited >= this.#patienceMs) throw new Error(whatIsLeft(role, there, left, unknown))
      await sleep(pauseMs)
    }
  }

  #remember(role: string, oid: number): void {
    const [oldest] = this.#seen.size >= mostSeen ? this.#seen.keys() : []
    if (oldest !== undefined) this.#seen.delete(oldest)
    this.#seen.set(role, oid)
  }

  #oidOf(role: string, only: readonly Backend[] | undefined): number | undefined {
    return only === undefined ? this.#seen.get(role) : undefined
  }

  /** Side by side: a server that is away keeps nobody from ending what runs on the others. */
  async #everywhere(
    what: string,
    work: (client: ClientBase, server: string) => Promise<void>,
  ): Promise<void> {
    const results = await Promise.allSettled(
      this.#servers.map(({ name, connection }) =>
        connection.connected(what, (client) => work(client, name)),
      ),
    )
    const problems = results.flatMap((result, at) =>
      result.status === 'rejected' ? [{ at, reason: asFailure(result.reason) }] : [],
    )
    const [first] = problems
    if (first === undefined) return
    const causes = problems.map(({ at, reason }) => this.#described(at, reason))
    const unreachable = problems.filter(({ reason }) => reason.code === 'upstream_unreachable')
    const away = unreachable.length === this.#servers.length
    throw new Failure(
      away ? 'upstream_unreachable' : 'cannot_connect_now',
      {
        message: `${what} target "${this.#target}"`,
        hint: 'It will be tried again; the log says what is in the way.',
      },
      { cause: causes.length === 1 ? causes[0] : new AggregateError(causes, 'on several servers') },
    )
  }

  #described(at: number, { message, cause }: Failure): Error {
    const reason = cause instanceof Error ? cause.message : message
    return new Error(`${this.#servers[at]?.name}: ${reason}`, { cause })
  }
}

/** Another server has used the numbers of our processes for others'. */
function on(
  server: string,
  backends: readonly Backend[] | undefined,
): readonly Backend[] | undefined {
  return backends?.filter((backend) => backend.server === server)
}

/** Undefined where there is no such role. */
async function oidIn(client: ClientBase, role: string): Promise<number | undefined> {
  const { rows } = await client.query<{ oid: number }>(
    'select oid from pg_roles where rolname = $1',
    [role],
  )
  return rows[0]?.oid
}

/** Without the right to see when a backend began, ours would all look like others'. */
async function mayLookInside(client: ClientBase): Promise<void> {
  if (await has(client, 'pg_read_all_stats')) return
  throw new Error('the monitoring login may not tell sessions apart: grant pg_read_all_stats to it')
}

async function whyDenied(client: ClientBase, error: DatabaseError): Promise<Error> {
  const message = (await has(client, 'pg_signal_backend'))
    ? "a superuser's sessions can be ended by superusers only, and the monitoring login is none"
    : 'the monitoring login may not end sessions: grant pg_signal_backend to it'
  return new Error(message, { cause: error })
}

async function has(client: ClientBase, role: string): Promise<boolean> {
  const { rows } = await client.query<{ has: boolean }>(`select pg_has_role($1, 'usage') as has`, [
    role,
  ])
  return rows[0]?.has === true
}

const insufficientPrivilege = '42501'

function isDenied(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && error.code === insufficientPrivilege
}

function whatIsLeft(role: string, there: boolean, backends: number, unknown: number): string {
  const left = [
    ...(there ? ['the role is still there'] : []),
    ...(backends > 0 ? [`${backends} of its sessions still run`] : []),
    ...(unknown > 0 ? [`${unknown} sessions of roles that are gone still run, maybe its`] : []),
  ]
  return `${role}: ${left.join(', and ')}`
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  throw error
}
