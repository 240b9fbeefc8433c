// Whether this process should be given work: named checks, run side by side, each with a time limit of
// its own, since a check that hangs is the very case it is there for. Ignorant of what is checked.

import { Failure } from '../errors.ts'

export interface ReadinessCheck {
  /** As it appears in the answer, e.g. `store`. */
  readonly name: string
  /** Resolves when all is well. A Failure's message is shown to anybody; of other errors, none. */
  readonly check: () => Promise<void>
  readonly limitMs: number
  /**
   * What work can go on without for a while is said, and does not make us unready: whatever all
   * replicas need alike would take all of them out of service at once, and clients would meet a closed
   * door in the place of a sentence. Default: work needs it.
   */
  readonly dispensable?: boolean
}

export interface Readiness {
  readonly ready: boolean
  /** `ok`, or what is wrong, by name. */
  readonly checks: Readonly<Record<string, string>>
}

/**
 * Makes the function that answers. A check still hanging from an earlier call is not begun again.
 * `onDefect` is told of errors whose text the answer withholds.
 */
export function readiness(
  checks: readonly ReadinessCheck[],
  onDefect: (error: unknown) => void,
): () => Promise<Readiness> {
  const limited = checks.map((check) => ({ ...check, run: once(check, onDefect) }))
  return async () => {
    const results = await Promise.all(
      limited.map(async ({ name, dispensable = false, run }) => {
        const result = await run()
        return { name, result, stands: dispensable || result === 'ok' }
      }),
    )
    return {
      ready: results.every(({ stands }) => stands),
      checks: Object.fromEntries(results.map(({ name, result }) => [name, result])),
    }
  }
}

function once(
  { check, limitMs }: ReadinessCheck,
  onDefect: (error: unknown) => void,
): () => Promise<string> {
  let running: Promise<string> | undefined
  return async () => {
    running ??= outcomeOf(check, onDefect).finally(() => {
      running = undefined
    })
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`no answer within ${limitMs} ms`), limitMs)
    })
    try {
      return await Promise.race([running, limit])
    } finally {
      clearTimeout(timer)
    }
  }
}

async function outcomeOf(
  check: () => Promise<void>,
  onDefect: (error: unknown) => void,
): Promise<string> {
  try {
    await check()
    return 'ok'
  } catch (error) {
    if (error instanceof Failure) return error.message
    onDefect(error)
    return 'failed'
  }
}
