// A sink on the standard output of this process: whoever started it collects the lines. The log goes
// elsewhere then, so that every line is a record. Ignorant of files and of retries.

import { write } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Shipment } from '../audit/outbox.ts'
import type { Sink } from './sink.ts'

const standardOutput = 1
const lineFeed = Buffer.from('\n')
const busyMs = 20

export class StdoutSink implements Sink {
  /** What of a line that was begun is still to be written: no other may begin before. */
  #rest = Buffer.alloc(0)

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    await this.#flush(signal)
    for (const { line } of batch) {
      this.#rest = Buffer.concat([line, lineFeed])
      await this.#flush(signal)
    }
  }

  /** It is not ours to close. */
  async close(): Promise<void> {}

  async #flush(signal: AbortSignal): Promise<void> {
    while (this.#rest.length > 0) {
      signal.throwIfAborted()
      try {
        // Not writeSync: a reader that has stopped reading would hold up every other sink.
        const { bytesWritten } = await promisify(write)(standardOutput, this.#rest)
        this.#rest = this.#rest.subarray(bytesWritten)
      } catch (error) {
        if (!isBusy(error)) throw error
        await sleep(busyMs, undefined, { signal })
      }
    }
  }
}

/** A pipe that does not block is full. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
}
