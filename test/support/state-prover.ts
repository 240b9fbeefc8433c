// Sends statements through the proxy as one role, and looks after every few of them whether anything is
// not as it was: then it sends them again one by one, to name those that did it. What a role may change
// is left out of the pictures. Ignorant of what is sent.

import type { BackendMessage } from '../../src/wire/backend.ts'
import { hearsUntilRow, sqlstates } from './answers.ts'
import type { Attempt } from './random-sql.ts'
import { sql } from './scripted-session.ts'
import { differences, Observer, type Picture } from './state-picture.ts'
import type { Warden } from './warden.ts'
import { WireClient } from './wire-client.ts'

/**
 * How attempts ended: `pinned` by the read-only transaction that pgwarden gives to read_only, `lost`
 * with the session.
 */
type Outcome = 'ran' | 'denied' | 'pinned' | 'failed' | 'lost'

export interface Proof {
  readonly tally: Readonly<Record<Outcome, number>>
  /** The attempts that changed something, and what. */
  readonly culprits: readonly string[]
}

/** Sent at once; the state is looked at after each. */
const batchSize = 50
/** What a session keeps for itself goes at the end of a batch; what it has done to others stays. */
const endOfBatch = ['ROLLBACK', 'RESET ALL', 'DEALLOCATE ALL', 'CLOSE ALL', 'UNLISTEN *']

type Login = Awaited<ReturnType<Warden['login']>>

interface Before {
  readonly state: Picture
  readonly files: Picture
  readonly dump: string | undefined
}

export class Prover {
  readonly #warden: Warden
  readonly #login: Login
  readonly #observer: Observer
  readonly #mayChange: RegExp
  readonly #before: Before
  #state: Picture
  #wire: WireClient

  private constructor(
    warden: Warden,
    login: Login,
    wire: WireClient,
    observer: Observer,
    mayChange: RegExp,
    before: Before,
  ) {
    this.#warden = warden
    this.#login = login
    this.#wire = wire
    this.#observer = observer
    this.#mayChange = mayChange
    this.#before = before
    this.#state = before.state
  }

  /** `mayChange` tells what of a picture the role may change, by name. */
  static async start(warden: Warden, role: string, mayChange = /^$/): Promise<Prover> {
    const observer = await Observer.at(warden.target.url, ['canary'])
    // One grant for all: the role that the broker makes for it is in both pictures.
    const login = await warden.login(role)
    const wire = await WireClient.logIn(warden.port, login)
    await observer.settle()
    const before: Before = {
      state: without(mayChange, await observer.state()),
      files: without(mayChange, await observer.files()),
      dump: await observer.dump(),
    }
    return new Prover(warden, login, wire, observer, mayChange, before)
  }

  async stop(): Promise<void> {
    this.#wire.close()
    await this.#observer.leave()
  }

  /** Sends everything, and looks at the state again and again, until there are so many culprits. */
  async prove(attempts: readonly Attempt[], mostCulprits = 10): Promise<Proof> {
    const tally = { ran: 0, denied: 0, pinned: 0, failed: 0, lost: 0 }
    const culprits: string[] = []
    for (let at = 0; at < attempts.length && culprits.length < mostCulprits; at += batchSize) {
      const batch = attempts.slice(at, at + batchSize)
      const changes = await this.#changesBy(batch, (outcome) => tally[outcome]++)
      if (changes.length > 0) culprits.push(...(await this.#culpritsAmong(batch, changes)))
    }
    console.log(JSON.stringify(tally))
    return { tally, culprits }
  }

  /** The files of the data directory that are not as they were. */
  async changedFiles(): Promise<readonly string[]> {
    const files = without(this.#mayChange, await this.#observer.files())
    return differences(this.#before.files, files)
  }

  /** What pg_dump said then and says now, where it is installed. */
  async dumps(): Promise<readonly [string | undefined, string | undefined]> {
    return [this.#before.dump, await this.#observer.dump()]
  }

  /** Which of the attempts change something each time; all of them where that cannot be told. */
  async #culpritsAmong(
    batch: readonly Attempt[],
    changes: readonly string[],
  ): Promise<readonly string[]> {
    const culprits: string[] = []
    for (const one of batch) {
      const again = await this.#changesBy([one])
      if (again.length > 0) culprits.push(`${said(one)}\n  ${again.join('\n  ')}`)
    }
    // What can be done only once is among the first changes alone.
    const first = `a batch: ${changes.join('\n  ')}`
    return culprits.length > 0 ? [first, ...culprits] : [first, ...batch.map(said)]
  }

  /** Sends the attempts; what is not as it was counts from here on as the state that was. */
  async #changesBy(
    attempts: readonly Attempt[],
    count: (outcome: Outcome) => void = () => undefined,
  ): Promise<readonly string[]> {
    const outcomes = await this.#send(attempts)
    outcomes.forEach(count)
    const now = without(this.#mayChange, await this.#observer.state())
    const changes = differences(this.#state, now)
    this.#state = now
    return outcomes.includes('lost') ? [...changes, 'the session was ended'] : changes
  }

  /** How each ended. */
  async #send(attempts: readonly Attempt[]): Promise<readonly Outcome[]> {
    const end = [...endOfBatch, "SELECT 'settled'"].map(sql)
    this.#wire.says(...attempts.flatMap(({ messages }) => messages), ...end)
    const heard = await hearsUntilRow(this.#wire, 'settled').catch((error: unknown) => {
      if (!this.#wire.ended) throw error
    })
    if (heard === undefined) {
      this.#wire = await WireClient.logIn(this.#warden.port, this.#login)
      return attempts.map(() => 'lost')
    }
    const rounds = inRounds(heard)
    return attempts.map(({ messages }) =>
      outcome(rounds.splice(0, messages.filter(endsRound).length).flat()),
    )
  }
}

function without(mayChange: RegExp, picture: Picture): Picture {
  return new Map([...picture].filter(([name]) => !mayChange.test(name)))
}

function outcome(answers: readonly BackendMessage[]): Outcome {
  const codes = sqlstates(answers)
  if (codes.includes('42501')) return 'denied'
  if (codes.includes('25006')) return 'pinned'
  return codes.length > 0 ? 'failed' : 'ran'
}

/** The answers, each up to its ReadyForQuery. */
function inRounds(messages: readonly BackendMessage[]): BackendMessage[][] {
  const rounds: BackendMessage[][] = [[]]
  for (const message of messages) {
    rounds.at(-1)?.push(message)
    if (message.type === 'readyForQuery') rounds.push([])
  }
  return rounds
}

function endsRound({ type }: Attempt['messages'][number]): boolean {
  return type === 'query' || type === 'sync' || type === 'functionCall'
}

function said({ messages }: Attempt): string {
  return messages
    .map((message) => ('text' in message ? message.text.toString() : message.type))
    .join(' | ')
}
