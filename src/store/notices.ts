// Notices: what the processes that share a store tell each other, by PostgreSQL's LISTEN and NOTIFY: one connection
// that listens and speaks, made again whenever it breaks, and a heartbeat by which each knows how many
// others there are. What is told while the connection is away is lost. Ignorant of what it is about.
// PostgreSQL documentation, "NOTIFY".

import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Clock } from '../clock.ts'
import type { Secret } from '../secret.ts'
import { withinMs } from '../waiting.ts'
import { connectionString } from './database.ts'
import { seal, sealKeyBytes, unseal } from './seal.ts'

export interface NoticesOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: Secret
  /** Names this process among the others. */
  readonly instance: string
  readonly clock: Clock
  /** Hears why the connection broke, or cannot be made. */
  readonly onProblem: (error: unknown) => void
}

export type Body = Readonly<Partial<Record<string, string>>>
type Heard = (body: Body, from: string) => void

interface Connection {
  readonly client: Client
  readonly key: Buffer
}

const channel = 'pgwarden'
const answerWithinMs = 5_000
/** For a connection to be over. */
const closeMs = 1_000
const heartbeatMs = 5_000
/** A process that was not heard for so long is gone. */
const silentMs = 3 * heartbeatMs
const leastPauseMs = 250
const longestPauseMs = 30_000
/** What may wait to be told. */
const mostUntold = 256
/** PostgreSQL's limit is 8,000 bytes. */
const longestNotice = 7_900

/** Said by this file itself. */
const hello = 'hello'
const here = 'here'
const goodbye = 'goodbye'

export class Notices {
  readonly #options: NoticesOptions
  readonly #heard = new Map<string, Heard>()
  /** Other processes, and when they were last heard. */
  readonly #others = new Map<string, number>()
  /** The number of what each of them told last. One entry for each process that was ever heard. */
  readonly #heardUpTo = new Map<string, number>()
  readonly #stopping = new AbortController()
  #connection: Connection | undefined
  #untold = 0
  #told = 0
  #running: Promise<void> | undefined
  #heartbeat: NodeJS.Timeout | undefined

  constructor(options: NoticesOptions) {
    this.#options = options
  }

  /** Listens from now on, as soon as it can. */
  start(): void {
    this.#running = this.#keepListening()
    this.#heartbeat = setInterval(() => void this.tell(here, {}), heartbeatMs)
    this.#heartbeat.unref()
  }

  /** Takes leave of the others and closes the connection. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeat)
    await this.tell(goodbye, {})
    this.#stopping.abort()
    // A server that has fallen silent never says that the connection is over.
    await withinMs(closeMs, this.#running)
  }

  /** How many other processes listen, as far as is known; 0 also while nobody can be heard. */
  get others(): number {
    const deadSince = this.#options.clock.elapsed() - silentMs
    for (const [instance, heardAt] of this.#others) {
      if (heardAt < deadSince) this.#others.delete(instance)
    }
    return this.#others.size
  }

  /** From now on `heard` is told what others tell about the topic, and which of them. */
  hear(topic: string, heard: Heard): void {
    this.#heard.set(topic, heard)
  }

  /** Tells all others. Resolves false, and never rejects, when that cannot be done now. */
  async tell(topic: string, body: Body): Promise<boolean> {
    const connection = this.#connection
    if (connection === undefined || this.#untold >= mostUntold) return false
    const { instance: from } = this.#options
    const text = JSON.stringify({ topic, from, number: ++this.#told, body })
    const notice = seal(connection.key, text)
    if (notice.length > longestNotice) return false
    this.#untold++
    try {
      await connection.client.query('select pg_notify($1, $2)', [channel, notice])
      return true
    } catch (error) {
      // A connection that does not answer is as good as none: it is made again.
      this.#options.onProblem(error)
      void connection.client.end()
      return false
    } finally {
      this.#untold--
    }
  }

  /** Never rejects; ends when this is stopped. */
  async #keepListening(): Promise<void> {
    const { signal } = this.#stopping
    let pauseMs = leastPauseMs
    while (!signal.aborted) {
      const listened = await this.#listen(signal).catch(this.#options.onProblem)
      pauseMs = listened === true ? leastPauseMs : Math.min(pauseMs * 2, longestPauseMs)
      // Not all processes at once, when the store comes back.
      const jittered = pauseMs * (0.5 + Math.random())
      await sleep(jittered, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  /** Resolves true when a connection that was there is gone. */
  async #listen(signal: AbortSignal): Promise<true> {
    const client = connectionTo(this.#options.url)
    const gone = new Promise<true>((resolve) => client.once('end', () => resolve(true)))
    // What fails rejects too; without a listener the event would end the process.
    client.on('error', () => undefined)
    const leave = (): void => void client.end()
    signal.addEventListener('abort', leave)
    try {
      await client.connect()
      const key = await sealKey(client)
      client.on('notification', ({ payload = '' }) => this.#take(key, payload))
      await client.query(`listen ${channel}`)
      this.#connection = { client, key }
      await this.tell(hello, {})
      return await gone
    } finally {
      signal.removeEventListener('abort', leave)
      this.#connection = undefined
      this.#others.clear()
      void client.end().catch(() => undefined)
    }
  }

  #take(key: Buffer, payload: string): void {
    const text = unseal(key, payload)
    if (text === undefined) return
    const { topic, from, number, body } = noticeOf(text)
    if (from === this.#options.instance) return
    // Notices come in the order in which they were told: an older one was kept by somebody, and sent again.
    if (number <= (this.#heardUpTo.get(from) ?? 0)) return
    this.#heardUpTo.set(from, number)
    if (topic === goodbye) {
      this.#others.delete(from)
      return
    }
    this.#others.set(from, this.#options.clock.elapsed())
    if (topic === hello) void this.tell(here, {})
    else this.#heard.get(topic)?.(body, from)
  }
}

/**
 * For a process that has one thing to tell and does not listen: it is not counted among the others
 * afterwards. @throws what keeps it from telling.
 */
export async function tellOnce(url: Secret, topic: string, body: Body): Promise<void> {
  const client = connectionTo(url)
  client.on('error', () => undefined)
  const from = randomUUID()
  try {
    await client.connect()
    const key = await sealKey(client)
    await notify(client, key, { topic, from, number: 1, body })
    await notify(client, key, { topic: goodbye, from, number: 2, body: {} })
  } finally {
    await client.end().catch(() => undefined)
  }
}

function connectionTo(url: Secret): Client {
  return new Client({
    connectionString: connectionString(url),
    connectionTimeoutMillis: answerWithinMs,
    query_timeout: answerWithinMs,
    keepAlive: true,
    fallback_application_name: 'pgwarden notifications',
  })
}

async function notify(client: Client, key: Buffer, notice: Notice): Promise<void> {
  const sealed = seal(key, JSON.stringify(notice))
  if (sealed.length > longestNotice) throw new Error('a notice is too long to be told')
  await client.query('select pg_notify($1, $2)', [channel, sealed])
}

/** The key that all processes of this store seal with: whoever comes first makes it. */
async function sealKey(client: Client): Promise<Buffer> {
  await client.query(
    'insert into pgwarden.notification_key (key) values ($1) on conflict do nothing',
    [randomBytes(sealKeyBytes)],
  )
  const { rows } = await client.query<{ key: Buffer }>('select key from pgwarden.notification_key')
  const key = rows[0]?.key
  if (key === undefined) throw new Error('the store has no key for notifications')
  return key
}

interface Notice {
  readonly topic: string
  readonly from: string
  /** Counts what this process has told; 0 is none. */
  readonly number: number
  readonly body: Body
}

/** What was unsealed was made by a pgwarden, of this version or another. */
function noticeOf(text: string): Notice {
  const value: unknown = JSON.parse(text)
  const { topic, from, number, body } = fieldsOf(value)
  return {
    topic: typeof topic === 'string' ? topic : '',
    from: typeof from === 'string' ? from : '',
    number: typeof number === 'number' ? number : 0,
    body: Object.fromEntries(
      Object.entries(fieldsOf(body)).filter(
        (entry): entry is [string, string] => typeof entry[1] === 'string',
      ),
    ),
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
