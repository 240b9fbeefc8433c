// Tells the outside what was changed: looks for changes that nobody has told yet, gives them to the channels
// that want them, and keeps each channel's lane going. Changes were written in the transactions that made
// them, so none is missed; any number of processes share the work. Ignorant of what a change means.

import type { Channel } from './channel.ts'
import { giveUpAfterMs, Lane, type LaneOptions } from './lane.ts'
import type { Outbox, Wanted } from './ports.ts'

export interface NotifierOptions extends LaneOptions {
  readonly outbox: Outbox
  /** How often the store is asked, for what other processes have changed. */
  readonly everyMs?: number
}

export class Notifier {
  readonly #lanes: ReadonlyMap<string, Lane>
  readonly #wanted: readonly Wanted[]
  readonly #options: NotifierOptions
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  #isNews = false
  #stopped = false

  constructor(channels: readonly Channel[], options: NotifierOptions) {
    this.#lanes = new Map(channels.map((channel) => [channel.name, new Lane(channel, options)]))
    this.#wanted = channels.map(({ name, events }) => ({ channel: name, types: events }))
    this.#options = options
  }

  start(): void {
    // Without channels there is nothing to do, and what was changed is not looked at.
    if (this.#lanes.size === 0) return
    this.#timer ??= setInterval(() => this.wake(), this.#options.everyMs ?? 2_000)
    this.#timer.unref()
    this.wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#looking
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()))
  }

  /** There may be changes: looks now, or again when the look that is under way is done. Never throws. */
  wake(): void {
    if (this.#stopped || this.#timer === undefined) return
    this.#isNews = true
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#options.observer.problem(error))
      .finally(() => {
        this.#looking = undefined
      })
  }

  async #look(): Promise<void> {
    const { outbox, observer, clock } = this.#options
    while (this.#isNews && !this.#stopped) {
      this.#isNews = false
      const now = clock.now()
      await outbox.distribute(this.#wanted, now, now - giveUpAfterMs)
      const waiting = new Map(
        (await outbox.waiting()).map(({ channel, since }) => [channel, since]),
      )
      for (const [name, lane] of this.#lanes) {
        const since = waiting.get(name)
        observer.waits(name, since === undefined ? 0 : Math.max(0, now - since))
        if (since !== undefined) lane.wake()
      }
    }
  }
}
