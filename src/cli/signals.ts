// Ctrl-C, politely: the first signal asks the work to end, the second ends the process at once. And SIGHUP, which
// asks it to read its configuration again.

import type { Terminal } from './terminal.ts'

const statusOf = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * One wish to stop can arrive twice: by the process group and by hand of a parent that passes it on
 * (npm, timeout). What comes within this time is the same one, and must not cut the stopping short.
 */
const sameWishMs = 250

/** Runs `work` with a signal that fires at the first SIGINT or SIGTERM. `onFirst` is told of it. */
export async function untilSignalled<T>(
  terminal: Terminal,
  work: (signal: AbortSignal) => Promise<T>,
  onFirst: () => void = () => {},
): Promise<T> {
  const controller = new AbortController()
  let impatient = false
  let patience: NodeJS.Timeout | undefined
  const heard = (status: number) => () => {
    if (impatient) terminal.exit(status)
    if (controller.signal.aborted) return
    patience = setTimeout(() => {
      impatient = true
    }, sameWishMs)
    onFirst()
    controller.abort()
  }
  const handlers = Object.entries(statusOf).map(([name, status]) => [name, heard(status)] as const)
  for (const [name, handler] of handlers) terminal.signals.on(name, handler)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(patience)
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

/** Says that the first signal was understood, and what the second would do. */
export function announceStop(terminal: Terminal): () => void {
  return () => terminal.stderr.write('\nStopping; once more ends at once.\n')
}
