// Memory that is really held: what is left of buffers when everything that nobody holds has been collected.

import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of buffers that this process holds. */
export async function heldBuffers(): Promise<number> {
  setFlagsFromString('--expose-gc')
  // What a callback on its way still refers to is gone by the second time.
  for (let time = 0; time < 3; time++) {
    runInNewContext('gc()')
    await sleep(20)
  }
  return process.memoryUsage().arrayBuffers
}
