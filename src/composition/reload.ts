// Reloading, from whoever asks for it to the answer: one at a time, read, checked as a whole, prepared and
// applied; or refused as a whole, and then everything is as it was. Says in the audit, the log and the metrics
// what came of it. Ignorant of the parts that follow a configuration (in-force.ts).

import { configRejectedRecord } from '../audit/config-record.ts'
import type { Journal } from '../audit/journal.ts'
import type { Config } from '../config/config.ts'
import type { Reloadable } from '../config/reloading.ts'
import { Failure } from '../errors.ts'
import type { ReloadObserver } from '../telemetry/reload-observer.ts'
import { checked } from './checked.ts'
import type { Prepared } from './in-force.ts'

/** `by`: a principal, or the name of a signal. @throws Failure when everything is as it was. */
export type Reload = (by: string) => Promise<Reloadable>

export interface ReloadOptions {
  /** The file as it is now. @throws Failure */
  readonly read: () => Promise<Config>
  /** Of every process that is to go by it. @throws Failure */
  readonly prepare: (read: Config) => Promise<Prepared>
  readonly journal: Pick<Journal, 'record'>
  readonly observer: ReloadObserver
}

/** Each is done for itself, with its own name on it; whoever asks while so many wait is sent away. */
const mostWaiting = 8

export function reloading({ read, prepare, journal, observer }: ReloadOptions): Reload {
  let waiting = 0
  let last: Promise<unknown> = Promise.resolve()
  return async (by) => {
    if (waiting >= mostWaiting) throw tooMany()
    waiting += 1
    const done = last
      .then(() => reload(by))
      .finally(() => {
        waiting -= 1
      })
    last = done.catch(() => undefined)
    return done
  }

  async function reload(by: string): Promise<Reloadable> {
    try {
      const config = await read()
      await checked(config)
      const { changes, restart, apply } = await prepare(config)
      await apply(by)
      observer.applied(by, { changes, restart })
      return { changes, restart }
    } catch (error) {
      if (error instanceof Failure && error.code === 'invalid_configuration') {
        observer.rejected(by, error)
        const problem = [error.message, error.detail].filter(Boolean).join('\n')
        await journal.record(configRejectedRecord(by, problem))
      } else {
        observer.failed(by, error)
      }
      throw error
    }
  }
}

function tooMany(): Failure {
  return new Failure('too_many_requests', {
    message: 'too many reloads are waiting for each other',
    hint: 'Ask again in a moment.',
  })
}
