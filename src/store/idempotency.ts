// Idempotency keys in the store, so that a repeated call finds on any replica what became of the first one.
// They are forgotten after a day. Ignorant of what was called.

import type { Database } from './database.ts'

/** Whose key it is and what it was sent with. */
interface IdempotencyKey {
  readonly principal: string
  readonly key: string
  readonly hash: Buffer
}

/** What was answered, as it is given again. */
interface KeptAnswer {
  readonly status: number
  readonly body: string
  readonly location: string | undefined
  readonly etag: string | undefined
}

type KeyStanding =
  | { readonly type: 'new' | 'unanswered' | 'withheld' | 'other' }
  | { readonly type: 'answered'; readonly answer: KeptAnswer }

interface KeyRow {
  readonly hash: Buffer
  readonly done: boolean
  readonly status: number | null
  readonly body: string | null
  readonly location: string | null
  readonly etag: string | null
}

const keptFor = "interval '24 hours'"

export class IdempotencyKeys {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Of two at the same moment the second waits for the first one's row, and finds the key taken. */
  async take({ principal, key, hash }: IdempotencyKey): Promise<KeyStanding> {
    const database = this.#database
    await database.run(`delete from pgwarden.idempotency_keys where taken_at < now() - ${keptFor}`)
    const taken = await database.run(
      `insert into pgwarden.idempotency_keys (principal, key, hash, taken_at)
       values ($1, $2, $3, now()) on conflict do nothing`,
      [principal, key, hash],
    )
    if (taken > 0) return { type: 'new' }
    const [row] = await database.rows<KeyRow>(
      `select hash, done, status, body, location, etag from pgwarden.idempotency_keys
        where principal = $1 and key = $2`,
      [principal, key],
    )
    // Released between the two: whoever sends it again finds it free.
    if (row === undefined) return { type: 'unanswered' }
    if (!row.hash.equals(hash)) return { type: 'other' }
    if (!row.done) return { type: 'unanswered' }
    const { status, body, location, etag } = row
    if (status === null || body === null) return { type: 'withheld' }
    const answer = { status, body, location: location ?? undefined, etag: etag ?? undefined }
    return { type: 'answered', answer }
  }

  async keep({ principal, key }: IdempotencyKey, answer: KeptAnswer | undefined): Promise<void> {
    await this.#database.run(
      `update pgwarden.idempotency_keys
          set done = true, status = $3, body = $4, location = $5, etag = $6
        where principal = $1 and key = $2`,
      [principal, key, answer?.status, answer?.body, answer?.location, answer?.etag],
    )
  }

  async release({ principal, key }: IdempotencyKey): Promise<void> {
    await this.#database.run(
      'delete from pgwarden.idempotency_keys where principal = $1 and key = $2 and not done',
      [principal, key],
    )
  }
}
