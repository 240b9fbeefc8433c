// Doing again what is safe to do again. Ignorant of what it is.

import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../errors.ts'

/**
 * Up to three attempts with a growing pause: two processes that remove one role trip over each other
 * ("tuple concurrently updated"), a lock is held, a failover takes a moment. What cannot be reached
 * at all is not waited for here.
 */
export async function retried(work: () => Promise<void>): Promise<void> {
  for (const pause of [100, 400]) {
    try {
      await work()
      return
    } catch (error) {
      if (error instanceof Failure && error.code === 'upstream_unreachable') throw error
      await sleep(pause)
    }
  }
  await work()
}
