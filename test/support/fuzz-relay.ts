// One relay between a client and an honest server whose connections, time, grant and cancels do whatever
// they like: who ends it, when, and in the middle of what. It knows what no order of events excuses.

import { vi } from 'vitest'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import { sessionContext } from '../../src/audit/record.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { Failure } from '../../src/errors.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { Relay } from '../../src/proxy/relay.ts'
import { analyse } from '../../src/sql/analyse.ts'
import { decodeErrorFields } from '../../src/wire/backend.ts'
import { encodeBackend, errorResponse } from '../../src/wire/backend-encoder.ts'
import { Books } from './books.ts'
import { emptyChain } from './memory-journal.ts'
import { MemorySocket } from './memory-socket.ts'
import { chunks, whole } from './mutation.ts'
import { pick, type Random } from './random-session.ts'
import { rulesFor } from './rules.ts'
import { silentMeter } from './silent-meter.ts'
import { ToyServer } from './toy-server.ts'

const maxStatementBytes = 128 * 1024
const grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'read_limited_write',
  startsAt: 0,
  endsAt: Number.MAX_SAFE_INTEGER,
  revokedAt: undefined,
  reason: 'test',
  requestId: undefined,
  relations: undefined,
  claims: {},
}

/** What many relays share. */
export class RelayHouse {
  readonly books = new Books()
  now = 1_000_000
  readonly clock = { now: () => this.now, elapsed: () => this.now }
  readonly journal = new Journal(this.books, emptyChain, this.clock)
  sessions = 0
}

/** Fake timers must be in use. */
export class FuzzRelay {
  readonly #random: Random
  readonly #house: RelayHouse
  readonly #relay: Relay
  readonly #client = new MemorySocket({ allowHalfOpen: true })
  readonly #upstream: ServerSide
  readonly #fromClient: Buffer[]
  /** Long texts that wait to be read, cancels that are on their way. */
  readonly #reading: (() => void)[] = []
  readonly #cancels: ((done: boolean) => void)[] = []
  #clientSilent = false
  #ends = 0
  #endOfWriting = 0

  constructor(random: Random, house: RelayHouse, says: Buffer) {
    this.#random = random
    this.#house = house
    this.#fromClient = [...chunks(random, says)]
    this.#upstream = new ServerSide(random)
    const policy = new Policy(predefinedRoles, {
      maxBytes: maxStatementBytes,
      analyseAside: (text, limits) =>
        new Promise((resolve) => {
          this.#reading.push(() => resolve(analyse(text, limits)))
        }),
    })
    const rules = rulesFor(grant.role, policy)
    this.#relay = new Relay(
      {
        authorization: Authorization.mint(grant, 't1', '127.0.0.1', new GrantChanges()),
        context: sessionContext({
          session: `s${++house.sessions}`,
          principal: 'alice',
          groups: undefined,
          grant: 'g1',
          requestId: undefined,
          requestReason: 'test',
          role: grant.role,
          target: 'shop',
          databaseRole: 'pgw_g1',
          lease: 'l1',
          client: '127.0.0.1:5000',
          application: 'fuzz',
          tls: false,
        }),
        rules: () => rules,
        catalog: () => Catalog.unread(),
        journal: house.journal,
        clock: house.clock,
        maxStatementBytes,
        recording: usualRecording,
        pinned: new Map(),
      },
      { client: this.#client, upstream: this.#upstream },
      {
        meter: silentMeter,
        trace: undefined,
        application: 'test',
        cancel: () => new Promise((resolve) => this.#cancels.push(resolve)),
        probe: encodeBackend({ type: 'parameterStatus', name: 'server_version', value: '18.0' }),
        onCatalogChanged: () => undefined,
        onTripped: () => undefined,
        onEnd: () => {
          this.#ends++
          this.#endOfWriting = this.#upstream.written.length
        },
      },
    )
    this.#relay.start(Buffer.alloc(0), Buffer.alloc(0))
  }

  /** Lets the conversation go its way for a while, and ends it at some moment in some way. */
  async live(): Promise<void> {
    const steps = this.#fromClient.length * 4 + 40
    const fate = whole(this.#random, steps)
    for (let at = 0; at < steps; at++) {
      if (at === fate) this.#strike()
      else await this.#step()
    }
  }

  /** Ends it, if nothing has yet; throws when something of it is not as it must be. */
  async finish(): Promise<void> {
    this.#relay.end(over)
    for (const done of this.#cancels) done(true)
    for (const read of this.#reading) read()
    for (let turns = 0; turns < 3; turns++) await turn()
    vi.advanceTimersByTime(60_000)
    this.#house.journal.flush()
    if (this.#ends !== 1) throw new Error(`it ended ${this.#ends} times`)
    if (this.#upstream.written.length > this.#endOfWriting) throw new Error('said after the end')
    const unrecorded = this.#upstream.server.ran.find((text) => !this.#house.books.allows(text))
    if (unrecorded !== undefined) throw new Error(`no record of: ${unrecorded}`)
    this.#house.books.close()
    checkHeard(Buffer.concat(this.#client.written))
  }

  async #step(): Promise<void> {
    const roll = this.#random()
    if (roll < 0.4) this.#clientSays()
    else if (roll < 0.7) this.#upstream.answer()
    else if (roll < 0.74) void this.#relay.cancel()
    else if (roll < 0.79) this.#cancels.shift()?.(this.#random() < 0.8)
    else if (roll < 0.84) this.#reading.shift()?.()
    else if (roll < 0.86) this.#relay.notice(notice)
    else if (roll < 0.9) {
      const ms = pick(this.#random, [10, 600, 6_000])
      this.#house.now += ms
      vi.advanceTimersByTime(ms)
    } else await turn()
  }

  #clientSays(): void {
    const chunk = this.#fromClient.shift()
    if (chunk !== undefined && !this.#clientSilent && !this.#client.destroyed) {
      this.#client.feed(chunk)
    }
  }

  #strike(): void {
    switch (whole(this.#random, 6)) {
      case 0:
        this.#clientSilent = true
        this.#client.feedEnd()
        break
      case 1:
        this.#client.destroy(new Error('reset'))
        break
      case 2:
        this.#upstream.leave(errorResponse(goingAway, 'FATAL'))
        break
      case 3:
        this.#upstream.leave(Buffer.alloc(0))
        break
      case 4:
        this.#upstream.destroy(new Error('reset'))
        break
      default:
        this.#relay.end(over)
    }
  }
}

const over = new Failure('session_terminated', { message: 'it is over' })
const goingAway = new Failure('session_terminated', { message: 'the server goes' })
const notice = encodeBackend({ type: 'noticeResponse', fields: { S: 'NOTICE', M: 'it ends soon' } })
const ours = ['it is over', 'it ends soon', 'server closed the connection unexpectedly']
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The upstream's socket, with the server at its other end. */
class ServerSide extends MemorySocket {
  readonly server = new ToyServer()
  readonly #random: Random
  readonly #answers: Buffer[] = []
  #told = false
  #left = false

  constructor(random: Random) {
    super({ allowHalfOpen: true })
    this.#random = random
  }

  override _write(said: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    const frames = this.server.push(Buffer.from(said))
    this.#answers.push(...chunks(this.#random, Buffer.concat(frames)))
    super._write(said, encoding, done)
  }

  override _final(done: () => void): void {
    this.#told = true
    super._final(done)
  }

  /** The next piece of what it has to say; nothing left, and told that no more will come: it goes. */
  answer(): void {
    if (this.#left || this.destroyed) return
    const piece = this.#answers.shift()
    if (piece !== undefined) this.feed(piece)
    else if (this.#told || this.server.terminated) this.leave(Buffer.alloc(0))
  }

  /** Goes, with what it was saying unsaid. */
  leave(farewell: Buffer): void {
    if (this.#left || this.destroyed) return
    this.#left = true
    if (farewell.length > 0) this.feed(farewell)
    this.feedEnd()
  }
}

/** Whole messages, and a FATAL last of all or not at all. */
function checkHeard(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + (bytes.length - at < 5 ? Infinity : bytes.readInt32BE(at + 1))
    if (end > bytes.length) {
      if (ours.some((words) => bytes.includes(words, at)))
        throw new Error('words in the middle of a message')
      return
    }
    const fatal =
      bytes[at] === 'E'.charCodeAt(0) && decodeErrorFields(bytes, at, end)['S'] === 'FATAL'
    if (fatal && end < bytes.length) throw new Error('something behind a FATAL')
    at = end
  }
}
