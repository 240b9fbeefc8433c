// Time, received rather than taken: nothing else in src/ calls Date.now() or performance.now(),
// so a test can hold the clock and a jump of the machine's clock has one place to be handled.

export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. May jump when the machine's clock is set. */
  now(): number
  /** Milliseconds from an arbitrary origin; never goes backwards. For durations and deadlines. */
  elapsed(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
}
