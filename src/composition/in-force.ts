// The configuration that is in force, and how another one comes to be: every part that goes by it prepares
// first, where something can fail and nothing has an effect; then all of them change over in one turn of the
// event loop, behind the record of it. Ignorant of who asks for that (reload.ts) and of the parts.

import { configAppliedRecord, configReloadRecord } from '../audit/config-record.ts'
import type { Journal } from '../audit/journal.ts'
import type { Config } from '../config/config.ts'
import { inForce, type Reloadable, reloadable } from '../config/reloading.ts'
import { Failure } from '../errors.ts'

/** Changes a part over. At once, without waiting, and never throws: what takes time is left to the part. */
type Switch = () => void

/** Makes what a part needs for the configuration. Without any effect. @throws Failure when it cannot be used. */
export type Follower = (wanted: Config) => Switch | Promise<Switch>

/** A configuration with which all parts can go on. */
export interface Prepared extends Reloadable {
  /**
   * Puts it on record, durably, and into force. `by`: a principal, or the name of a signal.
   * @throws Failure when it cannot be recorded, or another was applied meanwhile; then nothing has changed.
   */
  apply(by: string): Promise<void>
  /** The second half of it, at once, for a process that follows another: there the change is on record. */
  takeOver(): void
}

export class InForce {
  readonly #started: Config
  readonly #followers: Follower[] = []
  #current: Config
  /** As it was read; of `current` only what can be reloaded. */
  #read: Config

  constructor(started: Config) {
    this.#started = started
    this.#current = started
    this.#read = started
  }

  /** Another object after a reload: ask for it whenever it is needed. */
  get current(): Config {
    return this.#current
  }

  /** In the order in which they are to change over. */
  follow(follower: Follower): void {
    this.#followers.push(follower)
  }

  /** No effect. @throws Failure when a part cannot go on with it. */
  async prepare(read: Config, journal: Pick<Journal, 'record' | 'append'>): Promise<Prepared> {
    const before = this.#read
    const wanted = inForce(this.#started, read)
    const switches: Switch[] = []
    for (const follower of this.#followers) switches.push(await follower(wanted))
    const what = reloadable(this.#started.settings, before.settings, read.settings)
    const takeOver = (): void => {
      if (this.#read !== before) throw overtaken()
      for (const change of switches) change()
      this.#current = wanted
      this.#read = read
      // What is recorded behind this was decided by the new configuration.
      journal.append(configAppliedRecord(read.sha256))
    }
    return {
      ...what,
      apply: async (by) => {
        const sha256 = { before: before.sha256, after: read.sha256 }
        await journal.record(configReloadRecord({ ...what, by, sha256 }), { durable: true })
        takeOver()
      },
      takeOver,
    }
  }
}

function overtaken(): Failure {
  return new Failure('conflict', {
    message: 'another configuration was applied meanwhile',
    hint: 'Reload again.',
  })
}
