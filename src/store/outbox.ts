// Changes on their way out, in the store: which channel has not been told of which change. Any number of
// processes take from it; one delivery is with one of them, and of one object only the oldest is given out.
// Ignorant of what channels are, and of what is told.

import type { Change } from '../access/change.ts'
import type { RequestState } from '../access/request.ts'
import type { Database } from './database.ts'

interface Delivery {
  readonly channel: string
  readonly changeId: string
  readonly change: Change
  readonly at: number
  readonly tries: number
  readonly isPending: boolean
}

interface Key {
  readonly channel: string
  readonly changeId: string
}

interface ClaimedRow {
  readonly change_id: string
  readonly tries: number
  readonly at: Date
  readonly body: Change
  readonly state: RequestState | null
}

/** For one statement. The rest has its turn at the next look. */
const mostAtOnce = 500

export class Outbox {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * A change's number is drawn before its transaction commits, so a lower one can appear after a higher one:
   * each change says itself whether it was distributed, instead of all those up to a number.
   * Changes of one object were written under its lock, one after the other; and two processes that
   * distribute wait for each other (`for update`): so what is here of an object is here without a gap.
   * A request and the grant that it became are one object. What waits for a channel that is in no
   * configuration any more is forgotten.
   */
  async distribute(
    wanted: readonly { readonly channel: string; readonly types: readonly string[] }[],
    now: number,
    since: number,
  ): Promise<void> {
    const pairs = wanted.flatMap(({ channel, types }) => types.map((type) => ({ channel, type })))
    const channels = wanted.map(({ channel }) => channel)
    await this.#database.run(
      `with fresh as materialized (
         select id, at, type,
                coalesce(request_id, body #>> '{grant,requestId}', grant_id, id::text) as object
           from pgwarden.changes where not distributed order by id limit $4 for update
       ), marked as (
         update pgwarden.changes c set distributed = true from fresh where c.id = fresh.id
       ), forgotten as (
         delete from pgwarden.deliveries where at <= $3 and channel <> all ($5)
       )
       insert into pgwarden.deliveries (channel, change_id, object, at, due_at)
       select wanted.channel, fresh.id, fresh.object, fresh.at, $2
         from fresh
              join jsonb_to_recordset($1) as wanted (channel text, type text) using (type)
        where fresh.at > $3
           on conflict do nothing`,
      [JSON.stringify(pairs), new Date(now), new Date(since), mostAtOnce, channels],
    )
  }

  async waiting(): Promise<{ channel: string; since: number }[]> {
    const rows = await this.#database.rows<{ readonly channel: string; readonly since: Date }>(
      'select channel, min(at) as since from pgwarden.deliveries group by channel',
    )
    return rows.map(({ channel, since }) => ({ channel, since: since.getTime() }))
  }

  async claim(channel: string, now: number, until: number): Promise<Delivery | undefined> {
    const [row] = await this.#database.rows<ClaimedRow>(
      `with next as materialized (
         select d.change_id from pgwarden.deliveries d
          where d.channel = $1 and d.due_at <= $2
            and not exists (select from pgwarden.deliveries earlier
                             where earlier.channel = d.channel and earlier.object = d.object
                               and earlier.change_id < d.change_id)
          order by d.due_at, d.change_id limit 1 for update skip locked
       )
       update pgwarden.deliveries d set due_at = $3, tries = d.tries + 1
         from next
              join pgwarden.changes c on c.id = next.change_id
              left join pgwarden.requests r on r.id = c.request_id
        where d.channel = $1 and d.change_id = next.change_id
       returning d.change_id, d.tries, c.at, c.body, r.state`,
      [channel, new Date(now), new Date(until)],
    )
    return (
      row && {
        channel,
        changeId: row.change_id,
        change: row.body,
        at: row.at.getTime(),
        tries: row.tries,
        isPending: row.state === 'pending',
      }
    )
  }

  async postpone({ channel, changeId }: Key, until: number): Promise<void> {
    await this.#database.run(
      'update pgwarden.deliveries set due_at = $3 where channel = $1 and change_id = $2',
      [channel, changeId, new Date(until)],
    )
  }

  async remove({ channel, changeId }: Key): Promise<void> {
    await this.#database.run(
      'delete from pgwarden.deliveries where channel = $1 and change_id = $2',
      [channel, changeId],
    )
  }
}
