// One session between a client and a server that may each say anything, in any pieces and in any order
// of events. It knows when the session has done something that no input excuses.

import type { Grant } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import { sessionContext } from '../../src/audit/record.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { Failure } from '../../src/errors.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { Session } from '../../src/session/session.ts'
import { upstreamFrames } from '../../src/wire/backend.ts'
import { FrameReader } from '../../src/wire/frames.ts'
import { Books } from './books.ts'
import { emptyChain } from './memory-journal.ts'
import { chunks } from './mutation.ts'
import type { Random } from './random-session.ts'
import { rulesFor } from './rules.ts'
import { ToyServer } from './toy-server.ts'

const role = 'read_limited_write'
const maxStatementBytes = 64 * 1024
const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role,
  startsAt: 0,
  endsAt: 2_000_000,
  revokedAt: undefined,
  reason: 'test',
  requestId: undefined,
  relations: undefined,
  claims: {},
}
const authorization = Authorization.mint(grant, 't1', '127.0.0.1', new GrantChanges())
const pinned = new Map([['standard_conforming_strings', ['on']]])

/** What many sessions share, as they do in a running proxy. */
export class FuzzHouse {
  readonly books = new Books()
  readonly clock = { now: () => 1_000_000, elapsed: () => 1_000_000 }
  readonly journal = new Journal(this.books, emptyChain, this.clock)
  readonly rules = rulesFor(role, new Policy(predefinedRoles, { maxBytes: maxStatementBytes }))
  sessions = 0
}

/** How the server's frames are changed on their way. */
export type Spoil = (frames: readonly Buffer[]) => readonly Buffer[]

export class FuzzSession {
  readonly #random: Random
  readonly #house: FuzzHouse
  readonly #spoil: Spoil | undefined
  readonly #session: Session
  readonly #server = new ToyServer()
  readonly #clientSees = new FrameReader(upstreamFrames, {
    begin: () => true,
    rest: () => undefined,
  })
  /** In pieces, on their way to the session. */
  readonly #fromClient: Buffer[] = []
  readonly #fromServer: Buffer[] = []
  #ended = false
  #left = false
  /** Frames of the server's that were delivered. */
  serverFrames = 0

  /** Without `spoil` the server is honest. */
  constructor(random: Random, house: FuzzHouse, spoil?: Spoil) {
    this.#random = random
    this.#house = house
    this.#spoil = spoil
    const { rules, journal, clock } = house
    this.#session = new Session({
      authorization,
      context: sessionContext({
        session: `s${++house.sessions}`,
        principal: 'alice',
        groups: undefined,
        grant: 'g1',
        requestId: undefined,
        requestReason: 'test',
        role,
        target: 'shop',
        databaseRole: 'pgw_g1',
        lease: 'l1',
        client: '127.0.0.1:5000',
        application: 'fuzz',
        tls: false,
      }),
      rules: () => rules,
      catalog: () => Catalog.unread(),
      journal,
      clock,
      maxStatementBytes,
      recording: { ...usualRecording, parameters: 'full' },
      pinned,
      port: {
        toUpstream: (buffers) => this.#toServer(Buffer.concat(buffers)),
        toClient: (buffers) => void this.#clientSees.push(Buffer.concat(buffers)),
        terminated: () => undefined,
        judged: () => this.#guarded(() => this.#session.resume()),
        catalogChanged: () => undefined,
        tripped: () => undefined,
        statementDenied: () => undefined,
        statementEnded: () => undefined,
        statementsRefused: () => undefined,
      },
    })
  }

  /** The client says this, all at once or in pieces, while the server's answers come in between. */
  client(bytes: Buffer): void {
    this.#fromClient.push(...chunks(this.#random, bytes))
    while (this.#fromClient.length > 0 && !this.#ended) this.#step()
  }

  /** Until nobody has anything more to say. */
  settle(): void {
    this.#house.journal.flush()
    while (this.#fromServer.length > 0) {
      if (this.#ended) return
      this.#deliver()
      this.#house.journal.flush()
    }
  }

  /** The server says something of its own. */
  server(frames: readonly Buffer[]): void {
    this.serverFrames += frames.length
    this.#fromServer.push(...chunks(this.#random, Buffer.concat(frames)))
  }

  /** It is to end at the next transaction boundary: whoever holds its sockets looks for that as a relay does. */
  drain(): void {
    this.#session.drain()
    this.#leaveIfDrained()
  }

  /** Whether it has ended so, or by a failure of its own. */
  get ended(): boolean {
    return this.#ended
  }

  /** Ends the session, and throws when something of it is not as it must be. */
  finish(): void {
    this.settle()
    this.#session.close()
    this.#house.journal.flush()
    // What a name stands for a lying server could have anybody believe.
    const unrecorded = this.#server.ran.find((text) => !this.#house.books.allows(text))
    if (this.#spoil === undefined && unrecorded !== undefined)
      throw new Error(`no record of: ${unrecorded}`)
    this.#house.books.close()
  }

  #step(): void {
    const roll = this.#random()
    if (roll < 0.3) this.#house.journal.flush()
    else if (roll < 0.6 && this.#fromServer.length > 0) this.#deliver()
    else if (this.#session.congested) this.#wait()
    else {
      const chunk = this.#fromClient.shift()
      if (chunk !== undefined) this.#guarded(() => this.#session.fromClient(chunk))
    }
  }

  /** A client that is not read from: what it waits for must come from the journal or the server. */
  #wait(): void {
    this.#house.journal.flush()
    if (this.#fromServer.length > 0) this.#deliver()
    else if (this.#session.congested) {
      const honest = this.#spoil === undefined && this.#server.atBoundary
      if (honest) throw new Error('the client is made to wait, for nothing and for ever')
      this.#fromClient.length = 0
    }
  }

  #deliver(): void {
    const chunk = this.#fromServer.shift()
    if (chunk !== undefined) this.#guarded(() => this.#session.fromUpstream(chunk))
    this.#leaveIfDrained()
  }

  #leaveIfDrained(): void {
    if (this.#ended || !this.#session.drained) return
    if (this.#fromServer.length > 0) throw new Error('it is ended before its answers are told')
    if (!this.#server.atRest) throw new Error('it is ended while something is not committed')
    this.#ended = true
    this.#left = true
  }

  #toServer(bytes: Buffer): void {
    if (this.#left) throw new Error('something is forwarded behind the farewell')
    if (this.#ended) return
    const frames = this.#server.push(bytes)
    this.server(this.#spoil === undefined ? frames : this.#spoil(frames))
  }

  /** A Failure ends a session; anything else is a defect. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#ended = true
    }
  }
}
