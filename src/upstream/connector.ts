// Opens sessions on targets: one server after the other, within the time that a login may take. Keeps
// what makes the next login cheaper. Ignorant of who asked, of policy and of audit.
// PostgreSQL documentation, libpq, "Specifying Multiple Hosts". ADR 0011 tells where it differs.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type Opened, openSession, type SessionWanted, type Upstream } from './open.ts'
import { clientFailure, isRefusedLogin, ServerProblem } from './problem.ts'
import { ScramKeys } from './scram-keys.ts'
import { ServerOrder } from './server-order.ts'
import { withinTime } from './socket.ts'
import type { SessionAttributes, UpstreamTarget } from './target.ts'
import { type PreparedServer, prepare } from './tls.ts'

export interface SessionRequest {
  readonly target: string
  /** The whole startup packet, `user` and `database` included. */
  readonly parameters: ReadonlyMap<string, string>
  readonly password: Secret
  /** Instead of the target's own. */
  readonly attributes?: SessionAttributes
}

interface Prepared {
  readonly target: UpstreamTarget
  readonly servers: readonly PreparedServer[]
  /** A standby is no use for writing and well for reading: each kind of session has its own order. */
  readonly orders: Map<SessionAttributes, ServerOrder<PreparedServer>>
}

/** After how long a database role that no server knew is asked for again. */
const secondThoughts = [100, 300, 900]

export class Connector {
  readonly #targets: ReadonlyMap<string, Prepared>
  readonly #clock: Clock
  readonly #keys = new ScramKeys()

  /** @throws Failure invalid_configuration for a certificate or key that cannot be used. */
  constructor(targets: ReadonlyMap<string, UpstreamTarget>, clock: Clock) {
    this.#targets = new Map(
      [...targets].map(([name, target]) => [
        name,
        { target, servers: target.servers.map(prepare), orders: new Map() },
      ]),
    )
    this.#clock = clock
  }

  /** Throws upstream_unreachable, upstream_lost, unknown_database, too_many_connections or cannot_connect_now. */
  async connect(request: SessionRequest): Promise<Upstream> {
    const prepared = this.#targets.get(request.target)
    if (prepared === undefined) {
      throw new Failure('invalid_configuration', {
        message: `target "${request.target}" is not configured`,
      })
    }
    const { target } = prepared
    const attributes = request.attributes ?? target.targetSessionAttrs
    const wanted: SessionWanted = {
      parameters: request.parameters,
      password: request.password,
      terms: target,
      attributes,
      keys: (password, salt, iterations) => this.#keys.keys(password, salt, iterations),
    }
    const order = orderOf(prepared, attributes, this.#clock)
    const deadline = this.#clock.elapsed() + target.connectTimeoutMs
    for (let round = 0; ; round++) {
      const result = await this.#tryAll(order, wanted, deadline)
      if ('upstream' in result) return result.upstream
      const pause = secondThoughts[round]
      // A database role that was made a moment ago may not have come to a standby yet.
      const again =
        result.problems.length > 1 &&
        result.problems.some(({ sqlstate }) => isRefusedLogin(sqlstate))
      const timeLeft = deadline - this.#clock.elapsed()
      if (!again || pause === undefined || pause > timeLeft) throw failureOf(result)
      await sleep(pause)
    }
  }

  /** Each server may take an equal share of the time that is left, so that the last has some, too. */
  async #tryAll(
    order: ServerOrder<PreparedServer>,
    wanted: SessionWanted,
    deadline: number,
  ): Promise<{ readonly upstream: Upstream } | Unserved> {
    const servers = order.inOrder
    const unserved: Unserved = { problems: [], log: [] }
    let fallback: Upstream | undefined
    for (const [at, server] of servers.entries()) {
      const share = (deadline - this.#clock.elapsed()) / (servers.length - at)
      try {
        const opened = await withinTime(Math.max(share, 1), (signal) =>
          openSession(server, wanted, signal),
        )
        order.served(server)
        if (opened.fitness === 'fits') {
          fallback?.socket.destroy()
          return opened
        }
        fallback = keepFirst(fallback, opened)
      } catch (error) {
        const problem = asProblem(error)
        if (isAway(problem)) order.failed(server)
        unserved.problems.push(problem)
        unserved.log.push(described(server, problem))
      }
    }
    return fallback === undefined ? unserved : { upstream: fallback }
  }
}

/** What went wrong with each server, and how it is logged. */
interface Unserved {
  readonly problems: ServerProblem[]
  readonly log: Error[]
}

function orderOf(
  { servers, orders }: Prepared,
  attributes: SessionAttributes,
  clock: Clock,
): ServerOrder<PreparedServer> {
  const order = orders.get(attributes) ?? new ServerOrder(servers, clock)
  orders.set(attributes, order)
  return order
}

function keepFirst(kept: Upstream | undefined, { upstream }: Opened): Upstream {
  if (kept === undefined) return upstream
  upstream.socket.destroy()
  return kept
}

/** As far as such sessions are concerned. One that refuses a login may well take the next. */
function isAway({ kind }: ServerProblem): boolean {
  return kind === 'unreachable' || kind === 'tls' || kind === 'unfit'
}

/** Where a stack tells more than the sentence, which is where the sentence is not ours, it goes along. */
function described({ host, port }: PreparedServer, { kind, message, cause }: ServerProblem): Error {
  const text = `${host}:${port} ${message}`
  return kind === 'unacceptable' && cause !== undefined
    ? new Error(text, { cause })
    : new Error(text)
}

/** What the codec throws says that the server does not speak PostgreSQL as it should. */
function asProblem(error: unknown): ServerProblem {
  if (error instanceof ServerProblem) return error
  const text = error instanceof Error ? error.message : String(error)
  return new ServerProblem('unacceptable', text, { cause: error })
}

/** The client hears of what a server said rather than of another that was not there. */
function failureOf({ problems, log }: Unserved): Failure {
  const [first] = problems
  if (first === undefined) throw new Error('a target has at least one server')
  const telling = problems.find(({ kind }) => kind === 'refused' || kind === 'unacceptable')
  const cause = log.length === 1 ? log[0] : new AggregateError(log, 'no server took the session')
  return clientFailure(telling ?? first, cause)
}
