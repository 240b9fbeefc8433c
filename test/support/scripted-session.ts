// A session with both peers scripted: what the client and the upstream say goes in as messages, what
// leaves for each of them is collected. The journal is real, its storage an array; the policy is real.

import type { Grant } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import { sessionContext, type Tripwire } from '../../src/audit/record.ts'
import { type Recording, usualRecording } from '../../src/audit/recording.ts'
import type { JournalStorage } from '../../src/audit/storage.ts'
import type { Clock } from '../../src/clock.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy, type PolicyOptions } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import type { Clearance, SessionPort } from '../../src/session/port.ts'
import { nothingToRecord } from '../../src/session/port.ts'
import { Session } from '../../src/session/session.ts'
import type { Rules } from '../../src/session/state.ts'
import { type BackendMessage, decodeBackend } from '../../src/wire/backend.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { decodeFrontend, encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { emptyChain, storageThat } from './memory-journal.ts'
import { rulesFor } from './rules.ts'

export interface ScriptOptions {
  readonly role?: string
  /** In place of an array for its lines. */
  readonly storage?: JournalStorage
  readonly recording?: Partial<Recording>
  readonly pinned?: ReadonlyMap<string, readonly string[]>
  /** Answers for long texts; without one they are analysed at once. */
  readonly analyseAside?: PolicyOptions['analyseAside']
}

/** A JSON line of the journal, without what the journal itself adds. */
export type Recorded = Readonly<Record<string, unknown>>

export class Script {
  readonly session: Session
  readonly journal: Journal
  /** Settable: milliseconds since the epoch. */
  now = 1_000_000
  terminated = false
  readonly clearances: Clearance[] = []
  readonly #lines: string[] = []
  #upstream: Buffer[] = []
  #client: Buffer[] = []

  /** What it is judged by. */
  rules: Rules
  /** What is known of the target's catalog. */
  catalog = Catalog.unread()
  /** How often the session has said that the catalog has changed. */
  catalogChanges = 0
  readonly trips: Tripwire[] = []
  /** What the session throws when it goes on by itself. */
  ending: unknown

  constructor({
    role = 'read_limited_write',
    storage,
    recording,
    pinned,
    analyseAside,
  }: ScriptOptions = {}) {
    const clock: Clock = { now: () => this.now, elapsed: () => this.now }
    const stored =
      storage ??
      storageThat(({ bytes, length }) => {
        this.#lines.push(...bytes.toString('utf8', 0, length).trimEnd().split('\n'))
      })
    this.journal = new Journal(stored, emptyChain, clock)
    const port: SessionPort = {
      toUpstream: (buffers, clearance) => {
        this.clearances.push(clearance)
        this.#upstream.push(...buffers.map((buffer) => Buffer.from(buffer)))
      },
      toClient: (buffers) => this.#client.push(...buffers.map((buffer) => Buffer.from(buffer))),
      terminated: () => {
        this.terminated = true
      },
      judged: () => {
        try {
          this.session.resume()
        } catch (error) {
          this.ending = error
        }
      },
      catalogChanged: () => {
        this.catalogChanges++
      },
      tripped: (tripwire) => this.trips.push(tripwire),
      statementDenied: () => undefined,
      statementEnded: () => undefined,
      statementsRefused: () => undefined,
    }
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
    const policy = new Policy(predefinedRoles, {
      maxBytes: 1024 * 1024,
      ...(analyseAside && { analyseAside }),
    })
    this.rules = rulesFor(role, policy)
    this.session = new Session({
      authorization: Authorization.mint(grant, 't1', '127.0.0.1', new GrantChanges()),
      context: sessionContext({
        session: 's1',
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
        application: 'test',
        tls: false,
      }),
      rules: () => this.rules,
      catalog: () => this.catalog,
      journal: this.journal,
      clock,
      port,
      maxStatementBytes: 1024 * 1024,
      recording: { ...usualRecording, ...recording },
      pinned: pinned ?? new Map(),
    })
  }

  /** The client sends these in one chunk; the turn of the event loop has not ended yet. */
  sends(...messages: readonly FrontendMessage[]): void {
    this.session.fromClient(Buffer.concat(messages.map(encodeFrontend)))
  }

  /** The turn ends: the journal writes, what waits for it goes out. */
  turn(): void {
    this.journal.flush()
  }

  /** The client sends, the turn ends; what the upstream got of it. */
  client(...messages: readonly FrontendMessage[]): readonly FrontendMessage[] {
    this.sends(...messages)
    this.turn()
    return this.gotUpstream()
  }

  /** The upstream answers; what the client got of it. */
  upstream(...messages: readonly BackendMessage[]): readonly BackendMessage[] {
    this.session.fromUpstream(Buffer.concat(messages.map(encodeBackend)))
    return this.gotClient()
  }

  gotUpstream(): readonly FrontendMessage[] {
    const bytes = Buffer.concat(this.#upstream)
    this.#upstream = []
    return frames(bytes).map(([start, end]) => decodeFrontend(bytes, start, end))
  }

  gotClient(): readonly BackendMessage[] {
    const bytes = Buffer.concat(this.#client)
    this.#client = []
    return frames(bytes).map(([start, end]) => decodeBackend(bytes, start, end))
  }

  /** The journal's records of these types, in order. */
  records(...types: readonly string[]): readonly Recorded[] {
    this.turn()
    return this.#lines
      .map((line) => JSON.parse(line) as Recorded)
      .filter((record) => types.length === 0 || types.includes(String(record['type'])))
  }

  /** Whether anything that runs SQL left without a receipt is for the test to say. */
  get unrecorded(): boolean {
    return this.clearances.includes(nothingToRecord)
  }
}

function frames(bytes: Buffer): readonly (readonly [number, number])[] {
  const found: [number, number][] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    found.push([at, end])
    at = end
  }
  return found
}

export const sql = (text: string): FrontendMessage => ({ type: 'query', text: Buffer.from(text) })
export const parse = (text: string, name = ''): FrontendMessage => ({
  type: 'parse',
  name,
  text: Buffer.from(text),
  parameterTypes: [],
})
export const bind = (statement = '', portal = ''): FrontendMessage => ({
  type: 'bind',
  portal,
  statement,
  parameterFormats: [],
  parameters: [],
  resultFormats: [],
})
export const execute = (portal = '', maxRows = 0): FrontendMessage => ({
  type: 'execute',
  portal,
  maxRows,
})
export const sync: FrontendMessage = { type: 'sync' }
export const ready = (status: 'I' | 'T' | 'E' = 'I'): BackendMessage => ({
  type: 'readyForQuery',
  status,
})
export const complete = (tag: string): BackendMessage => ({ type: 'commandComplete', tag })
export const failed = (code: string): BackendMessage => ({
  type: 'errorResponse',
  fields: { S: 'ERROR', V: 'ERROR', C: code, M: 'the server says no' },
})
export const row: BackendMessage = { type: 'dataRow', values: [Buffer.from('1')] }
