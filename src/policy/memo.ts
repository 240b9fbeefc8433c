// Remembers the results of judging, within a bound of bytes and of entries. Two generations: what was
// not asked for during a whole generation is dropped with it, at no cost per lookup.
// Ignorant of what it remembers.

interface MemoLimits {
  readonly bytes: number
  readonly entries: number
}

interface Entry<Value> {
  readonly value: Value
  readonly bytes: number
}

export class Memo<Value> {
  readonly #limits: MemoLimits
  #young = new Map<string, Entry<Value>>()
  #old = new Map<string, Entry<Value>>()
  #youngBytes = 0

  constructor(limits: MemoLimits) {
    this.#limits = limits
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young.value
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.set(key, old.value, old.bytes)
    return old.value
  }

  /** `bytes` is an estimate of what key and value hold in memory. */
  set(key: string, value: Value, bytes: number): void {
    // Half for each generation: both together stay within the limits.
    const full =
      this.#youngBytes + bytes > this.#limits.bytes / 2 ||
      this.#young.size >= this.#limits.entries / 2
    if (full) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    if (bytes > this.#limits.bytes / 2) return
    this.#young.set(key, { value, bytes })
    this.#youngBytes += bytes
  }
}
