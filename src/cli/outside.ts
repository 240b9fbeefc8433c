// What the commands of the control plane reach beyond the terminal: the network, the time, other programs.
// Passed in, so that a test can play it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fetch } from '../client/exchange.ts'
import { type Clock, systemClock } from '../clock.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Outside {
  readonly fetch: Fetch
  readonly clock: Clock
  /** Resolves after the time, and at once when `signal` fires. */
  readonly pause: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  readonly programs: Programs
}

export interface Programs {
  /** Whether it is installed here. */
  has(program: string, env: Environment): Promise<boolean>
  /**
   * Runs it with our streams. Resolves to its exit status, or 128 and the signal that ended it, as a
   * shell does. `forward` is passed on to it.
   */
  run(
    program: string,
    words: readonly string[],
    env: Environment,
    forward: AbortSignal,
  ): Promise<number>
}

export const outside: Outside = {
  fetch,
  clock: systemClock,
  pause: async (milliseconds, signal) => {
    try {
      await sleep(milliseconds, undefined, { ...(signal === undefined ? {} : { signal }) })
    } catch (error) {
      if (signal?.aborted !== true) throw error
    }
  },
  programs: {
    has: async (program, env) => {
      const child = spawn(program, ['--version'], { stdio: 'ignore', env: { ...env } })
      try {
        await once(child, 'close')
        return true
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
        throw error
      }
    },
    run: async (program, words, env, forward) => {
      const child = spawn(program, words, { stdio: 'inherit', env: { ...env } })
      const pass = () => child.kill('SIGTERM')
      forward.addEventListener('abort', pass, { once: true })
      const ended = new Promise<number>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', (status, signal) => {
          resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal]))
        })
      })
      try {
        return await ended
      } finally {
        forward.removeEventListener('abort', pass)
      }
    },
  },
}
