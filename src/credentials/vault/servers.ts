// One question to Vault, whichever of its servers answers it: they are asked in order until one serves,
// and together they may take no longer than one alone. Every question is counted and timed. Ignorant of
// tokens and of whether to ask again.

import type { Clock } from '../../clock.ts'
import { Addresses } from './addresses.ts'
import type { VaultObserver } from './observer.ts'
import { combined, isOutage, VaultProblem } from './problem.ts'
import type { Answer, AskServer, Question } from './question.ts'

interface ServersOptions {
  readonly servers: readonly AskServer[]
  /** For one question, all servers together. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly observer: VaultObserver
}

/** For a sign of life of a server that has not answered. */
const signOfLifeMs = 1_000

export class Servers {
  readonly #addresses: Addresses<AskServer>
  readonly #options: ServersOptions

  constructor(options: ServersOptions) {
    this.#options = options
    this.#addresses = new Addresses(options.servers, options.clock)
  }

  /** @throws VaultProblem, or the reason of the signal. */
  async ask(question: Question): Promise<Answer> {
    const { clock, observer } = this.#options
    const startedAt = clock.elapsed()
    try {
      const answer = await this.#askEach(question)
      observer.asked('ok', clock.elapsed() - startedAt)
      return answer
    } catch (error) {
      if (error instanceof VaultProblem) observer.asked(error.kind, clock.elapsed() - startedAt)
      throw error
    }
  }

  async #askEach(question: Question): Promise<Answer> {
    const { clock, timeoutMs } = this.#options
    const deadline = clock.elapsed() + timeoutMs
    const problems: VaultProblem[] = []
    const servers = this.#addresses.inOrder
    for (const [at, server] of servers.entries()) {
      const left = Math.max(Math.ceil(deadline - clock.elapsed()), 1)
      // One that is not there must leave the others their share of the time.
      const limits = { connectMs: Math.ceil(left / (servers.length - at)), timeoutMs: left }
      try {
        const answer = await server(question, limits)
        this.#addresses.served(server)
        return answer
      } catch (error) {
        if (!(error instanceof VaultProblem)) throw error
        const problem = error.unanswered ? await asFarAsKnown(error, server) : error
        if (isOutage(problem)) this.#addresses.failed(server)
        else this.#addresses.served(server)
        // It may have been obeyed: whether to ask twice is for those to decide who know what they ask.
        if (!isOutage(problem) || problem.unanswered) throw problem
        problems.push(problem)
      }
    }
    const [first, ...more] = problems
    throw first === undefined
      ? new VaultProblem('unreachable', 'there is no address')
      : combined([first, ...more])
  }
}

/**
 * No answer is no proof of a dead Vault: its engine waits for as long as a database that does not answer
 * lets it. One database that is away must not look like no Vault, and take all others along.
 */
async function asFarAsKnown(problem: VaultProblem, server: AskServer): Promise<VaultProblem> {
  try {
    await server(
      { method: 'GET', path: 'sys/health' },
      { connectMs: signOfLifeMs, timeoutMs: signOfLifeMs },
    )
  } catch (error) {
    if (error instanceof VaultProblem && isOutage(error)) return problem
  }
  return new VaultProblem('failing', problem.message, { unanswered: true })
}
