// Waiting for a library that knows no AbortSignal. Ignorant of what it does.

/**
 * What the promise comes to, or the signal's reason once that is aborted. What it comes to afterwards is
 * dropped: whoever began it sees to it that it ends, and holds nothing.
 */
export async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let onAbort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
