// A sink that is told by POST: a batch is a signed letter of JSON lines, and a status of 2xx is its receipt.
// What says too large (413) is sent in halves from then on. Ignorant of files and of retries.
// Standard Webhooks; NDJSON: a line of the letter is a line of the journal, byte for byte.

import type { Shipment } from '../audit/outbox.ts'
import type { WebhookSettings } from '../audit/sink-settings.ts'
import type { Clock } from '../clock.ts'
import { post } from '../post.ts'
import { signedHeaders } from '../standard-webhook.ts'
import { type Sink, SinkProblem } from './sink.ts'

const timeoutMs = 30_000
const lineFeed = Buffer.from('\n')

export class WebhookSink implements Sink {
  readonly #settings: WebhookSettings
  readonly #clock: Clock
  /** Learnt from the receiver. */
  #mostBytes = Number.POSITIVE_INFINITY

  constructor(settings: WebhookSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
  }

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    for (let from = 0; from < batch.length; ) {
      const letter = beginningOf(batch, from, this.#mostBytes)
      const refused = await this.#post(letter, signal)
      if (refused === undefined) from += letter.length
      else if (refused.status !== 413 || letter.length === 1) throw refused.problem
      else this.#mostBytes = Math.floor(bytesOf(letter) / 2)
    }
  }

  /** Each letter has a connection of its own. */
  async close(): Promise<void> {}

  async #post(
    letter: readonly Shipment[],
    signal: AbortSignal,
  ): Promise<{ readonly status: number | undefined; readonly problem: SinkProblem } | undefined> {
    const body = Buffer.concat(letter.flatMap(({ line }) => [line, lineFeed]))
    const headers = {
      'content-type': 'application/x-ndjson',
      'user-agent': 'pgwarden',
      ...signedHeaders(idOf(letter), body, this.#settings.secrets, this.#clock.now()),
    }
    const answer = await post(this.#settings, { headers, body }, { timeoutMs, signal })
    if (answer.type === 'accepted') return undefined
    const { status, why, retryAfterMs } = answer
    return { status, problem: new SinkProblem(why, retryAfterMs) }
  }
}

/** Sent again, the same letter has the same id. */
function idOf(letter: readonly Shipment[]): string {
  return `${letter[0]?.event}_${letter.at(-1)?.event}`
}

/** From there on as many as fit, at least one. */
function beginningOf(
  batch: readonly Shipment[],
  from: number,
  mostBytes: number,
): readonly Shipment[] {
  let end = from + 1
  let bytes = batch[from]?.line.length ?? 0
  for (const { line } of batch.slice(end)) {
    bytes += line.length + 1
    if (bytes > mostBytes) break
    end += 1
  }
  return batch.slice(from, end)
}

function bytesOf(letter: readonly Shipment[]): number {
  return letter.reduce((sum, { line }) => sum + line.length + 1, 0)
}
