// What the doctor has to say of one thing that it looked at, and looking at one thing in bounded time.
// Its reader is an operator: host names, logins and paths may stand in it, secrets may not.
// Ignorant of what is looked at.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'

export interface Finding {
  /** What was looked at, e.g. `target shop`. */
  readonly subject: string
  readonly result: 'ok' | 'warn' | 'fail'
  readonly message: string
  /** What to change, where something is to be changed. */
  readonly advice: string | undefined
}

/** What every look needs. */
export interface Circumstances {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Hears what is being looked at. */
  readonly onStep: (step: string) => void
}

export function ok(subject: string, message: string): Finding {
  return { subject, result: 'ok', message, advice: undefined }
}

export function warn(subject: string, message: string, advice: string): Finding {
  return { subject, result: 'warn', message, advice }
}

/** `error`: what was thrown, or a sentence. Its own hint is the advice where none is given. */
export function fail(subject: string, error: unknown, advice?: string): Finding {
  return { subject, result: 'fail', message: sentence(error), advice: advice ?? hintOf(error) }
}

/**
 * What `work` resolves to. It is given up after `limitMs`, also where it does not heed its signal: a
 * doctor that hangs is of no use to anybody. @throws what `work` throws.
 */
export async function within<T>(
  { signal, onStep }: Circumstances,
  step: string,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  onStep(step)
  const controller = new AbortController()
  const giveUp = (): void => controller.abort(signal.reason)
  const tooLong = new Error(`no answer within ${limitMs / 1000} s`)
  const timer = setTimeout(() => controller.abort(tooLong), limitMs)
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([work(controller.signal), rejection(controller.signal)])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}

/** Never resolves. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal.aborted) reject(signal.reason)
  })
}

/** What is said of an error to a client, and behind it what is said to the log alone. */
export function sentence(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error; at !== undefined && at !== null; ) {
    const [text, cause] = told(at)
    // A cause often repeats what was made of it.
    if (!parts.some((part) => part.includes(text))) parts.push(text)
    at = cause
  }
  return parts.join(': ')
}

function told(error: unknown): readonly [text: string, cause: unknown] {
  if (error instanceof AggregateError) return [error.errors.map(sentence).join('; '), undefined]
  if (error instanceof Failure) {
    const { message, detail, cause } = error
    // A detail has lines or sentences; here it is one part of a sentence.
    const more = detail?.replace(/[.]$/, '').replaceAll('\n', '; ')
    return [more === undefined ? message : `${message}: ${more}`, cause]
  }
  return error instanceof Error ? [error.message, error.cause] : [String(error), undefined]
}

function hintOf(error: unknown): string | undefined {
  return error instanceof Failure ? error.hint : undefined
}
