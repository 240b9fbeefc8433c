// Ctrl-C, politely: each signal asks for a faster end than the one before, and the last ends the process as it
// is. What the steps between are is the work's own business. And SIGHUP, which asks it to read its configuration
// again.

import type { Stopping } from './operations.ts'
import type { Terminal } from './terminal.ts'

const statusOf = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * One wish to stop can arrive twice: by the process group and by hand of a parent that passes it on
 * (npm, timeout). What comes within this time is the same one, and must not cut the stopping short.
 */
const sameWishMs = 250

/** Runs `work` with a signal that fires at the first SIGINT or SIGTERM; the second ends the process. */
export async function untilSignalled<T>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const asked = new AbortController()
  return hearing(terminal, [() => asked.abort()], () => work(asked.signal))
}

/**
 * The same for what serves others and should not just drop them: the first asks it to finish what runs, the
 * second to end it, the third ends the process. The terminal is told what the next one would do.
 */
export async function untilStopped<T>(
  terminal: Terminal,
  work: (stopping: Stopping) => Promise<T>,
): Promise<T> {
  const asked = new AbortController()
  const atOnce = new AbortController()
  const say = (sentence: string): void => void terminal.stderr.write(`\n${sentence}\n`)
  const steps = [
    () => {
      say('Stopping: each session ends when its transaction does. Once more ends them at once.')
      asked.abort()
    },
    () => {
      say('Ending all sessions now. Once more ends this process as it is.')
      atOnce.abort()
    },
  ]
  const stopping = { asked: asked.signal, atOnce: atOnce.signal }
  return hearing(terminal, steps, () => work(stopping))
}

/** While `work` runs the first wish takes the first step, and so on; beyond the last the process ends. */
async function hearing<T>(
  terminal: Terminal,
  steps: readonly (() => void)[],
  work: () => Promise<T>,
): Promise<T> {
  const left = [...steps]
  let same: NodeJS.Timeout | undefined
  const heard = (status: number) => () => {
    if (same !== undefined) return
    same = setTimeout(() => {
      same = undefined
    }, sameWishMs)
    const step = left.shift()
    if (step === undefined) terminal.exit(status)
    else step()
  }
  const handlers = Object.entries(statusOf).map(([name, status]) => [name, heard(status)] as const)
  for (const [name, handler] of handlers) terminal.signals.on(name, handler)
  try {
    return await work()
  } finally {
    clearTimeout(same)
    for (const [name, handler] of handlers) terminal.signals.off(name, handler)
  }
}

/**
 * Runs `work`, which says what SIGHUP is to do once it can be done; one that comes before is done then. Without
 * anybody who hears it, the signal would end the process.
 */
export async function hearingHangUps<T>(
  { signals }: Terminal,
  work: (onHangUp: (reload: () => void) => void) => Promise<T>,
): Promise<T> {
  let reload: (() => void) | undefined
  let missed = false
  const heard = (): void => {
    if (reload === undefined) missed = true
    else reload()
  }
  signals.on('SIGHUP', heard)
  try {
    return await work((then) => {
      reload = then
      if (missed) reload()
    })
  } finally {
    signals.off('SIGHUP', heard)
  }
}
