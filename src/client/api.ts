// The control plane as a program sees it: a method for each thing that can be asked of it. Everything
// rejects with an ApiFailure when the server says no, with a Failure when it cannot be asked.

import type * as z from 'zod'
import { Failure } from '../errors.ts'
import * as answers from './answers.ts'
import type { Exchange, Question } from './exchange.ts'

export interface Terms {
  readonly target: string
  readonly role: string
  readonly reason: string
  readonly durationSeconds?: number
  readonly startsAt?: string
  readonly relations?: answers.AccessRequest['relations']
}

export interface Filter {
  readonly state?: string
  readonly principal?: string
  readonly target?: string
  readonly role?: string
}

type Query = NonNullable<Question<unknown>['query']>

export class Api {
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  me(): Promise<answers.Me> {
    return this.#get(['me'], answers.me)
  }

  /** How to log in; needs no credential. */
  loginTerms(): Promise<answers.LoginTerms> {
    return this.#get(['login'], answers.loginTerms)
  }

  request(terms: Terms): Promise<answers.AccessRequest> {
    return this.#post(['requests'], terms, answers.request)
  }

  findRequest(id: string): Promise<answers.AccessRequest> {
    return this.#get(['requests', id], answers.request)
  }

  /** Newest first. */
  listRequests(
    filter: Filter & { readonly decidable?: boolean },
    limit: number,
  ): Promise<List<answers.AccessRequest>> {
    return this.#list(['requests'], answers.requestPage, { ...filter }, limit)
  }

  decide(
    id: string,
    decision: 'approve' | 'deny',
    comment: string | undefined,
  ): Promise<answers.AccessRequest> {
    return this.#post(
      ['requests', id, decision],
      comment === undefined ? {} : { comment },
      answers.request,
    )
  }

  withdraw(id: string): Promise<answers.AccessRequest> {
    return this.#post(['requests', id, 'withdraw'], {}, answers.request)
  }

  listGrants(filter: Filter, limit: number): Promise<List<answers.Grant>> {
    return this.#list(['grants'], answers.grantPage, { ...filter }, limit)
  }

  findGrant(id: string): Promise<answers.Grant> {
    return this.#get(['grants', id], answers.grant)
  }

  extend(
    id: string,
    terms: { readonly durationSeconds: number; readonly reason: string },
  ): Promise<answers.Extension> {
    return this.#post(['grants', id, 'extend'], terms, answers.extension)
  }

  /** Answers when sessions and logins are gone, or when `waitSeconds` have passed. */
  revoke(id: string, reason: string, waitSeconds: number): Promise<answers.Revocation> {
    return this.#exchange.ask({
      method: 'DELETE',
      path: ['grants', id],
      query: { reason, waitSeconds },
      answer: answers.revocation,
      waitMs: waitSeconds * 1000,
    })
  }

  issueToken(grantId: string, kind: string | undefined): Promise<answers.Token> {
    return this.#post(
      ['grants', grantId, 'tokens'],
      kind === undefined ? {} : { kind },
      answers.token,
    )
  }

  async sessions(filter: {
    readonly principal?: string
    readonly target?: string
    readonly grantId?: string
  }): Promise<readonly answers.Session[]> {
    return (await this.#get(['sessions'], answers.sessions, filter)).items
  }

  endSession(
    id: string,
    reason: string,
  ): Promise<{ readonly id: string; readonly ended: boolean }> {
    return this.#exchange.ask({
      ...{ method: 'DELETE', path: ['sessions', id], query: { reason } },
      answer: answers.ending,
      waitMs: 15_000,
    })
  }

  /** The server reads its configuration again, and goes by it. */
  reload(): Promise<answers.Reloaded> {
    return this.#post(['reload'], {}, answers.reloaded)
  }

  /**
   * Records of the audit, newest first, until `limit` or the signal. A page may hold none and not be the last:
   * `onPage` hears of each.
   */
  async *auditEvents(
    filter: Query,
    limit: number,
    signal: AbortSignal,
    onPage: () => void = () => {},
  ): AsyncGenerator<answers.AuditEvent> {
    let left = limit
    let cursor: string | undefined
    do {
      const query = { ...filter, limit: Math.min(left, pageSize), cursor }
      const { items, next } = await this.#get(['audit', 'events'], answers.auditPage, query)
      onPage()
      yield* items
      left -= items.length
      cursor = next
    } while (cursor !== undefined && left > 0 && !signal.aborted)
  }

  /**
   * Records of the audit as they are written, or behind the place `after`, until the server ends it. The first
   * may be a place alone: where it begins.
   */
  async *auditStream(
    filter: Query,
    after: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<StreamedRecord> {
    const question = { path: ['audit', 'stream'], query: filter }
    for await (const { type, id, data } of this.#exchange.events(question, after, signal)) {
      if (type !== 'message') return
      yield { place: id, event: data === undefined ? undefined : eventOf(data) }
    }
  }

  /** What the caller may ask for. */
  async targets(): Promise<readonly answers.Target[]> {
    return (await this.#get(['targets'], answers.targets)).items
  }

  async roles(): Promise<readonly answers.Role[]> {
    return (await this.#get(['roles'], answers.roles)).items
  }

  #get<T>(path: readonly string[], answer: z.ZodType<T>, query: Query = {}): Promise<T> {
    return this.#exchange.ask({ method: 'GET', path, answer, query })
  }

  #post<T>(path: readonly string[], body: object, answer: z.ZodType<T>): Promise<T> {
    return this.#exchange.ask({ method: 'POST', path, body, answer })
  }

  /** As many pages as it takes. */
  async #list<T>(
    path: readonly string[],
    page: z.ZodType<{ items: T[]; next?: string | undefined }>,
    filter: Query,
    limit: number,
  ): Promise<List<T>> {
    const items: T[] = []
    let cursor: string | undefined
    do {
      const query = { ...filter, limit: Math.min(limit - items.length, pageSize), cursor }
      const { items: more, next } = await this.#get(path, page, query)
      items.push(...more)
      // A page without anything on it would go on for ever.
      cursor = more.length === 0 ? undefined : next
    } while (cursor !== undefined && items.length < limit)
    return { items, more: cursor !== undefined }
  }
}

const pageSize = 100

function eventOf(data: string): answers.AuditEvent {
  try {
    return answers.auditEvent.parse(JSON.parse(data))
  } catch (cause) {
    throw new Failure(
      'protocol_violation',
      {
        message: 'the stream holds what is no record of an audit',
        hint: 'Is it a pgwarden, and of a version that fits this one?',
      },
      { cause },
    )
  }
}

export interface StreamedRecord {
  /** What to go on behind, should the stream break off. */
  readonly place: string | undefined
  readonly event: answers.AuditEvent | undefined
}

export interface List<T> {
  readonly items: readonly T[]
  /** Whether there are others, which were not asked for. */
  readonly more: boolean
}
