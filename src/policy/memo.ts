// Remembers the results of judging, within a bound of bytes and of entries. Two generations: what was
// not asked for during a whole generation is dropped with it, at no cost per lookup. What was seen once
// only is not remembered: texts with a value in them hardly ever come again, and keeping thousands of
// them cost the garbage collector 30 us for each (half of what a simple statement cost in all).
// Ignorant of what it remembers.

interface MemoLimits {
  readonly bytes: number
  readonly entries: number
}

/** How often a key was known, and not. */
export interface Lookups {
  hits: number
  misses: number
}

interface Entry<Value> {
  readonly value: Value
  readonly bytes: number
}

export class Memo<Value> {
  readonly #limits: MemoLimits
  readonly #lookups: Lookups
  #young = new Map<string, Entry<Value>>()
  #old = new Map<string, Entry<Value>>()
  #youngBytes = 0
  /** Hashes of keys that were seen once. A collision only remembers a key too early. */
  #seen = new Set<number>()

  /** `lookups` goes on being counted up: it may outlive this memory. */
  constructor(limits: MemoLimits, lookups: Lookups) {
    this.#limits = limits
    this.#lookups = lookups
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    const found = young ?? this.#old.get(key)
    if (found === undefined) {
      this.#lookups.misses++
      return undefined
    }
    this.#lookups.hits++
    if (young === undefined) this.set(key, found.value, found.bytes)
    return found.value
  }

  /** Whether the key comes again; remembers that it came. */
  comesAgain(key: string): boolean {
    const hash = hashOf(key)
    if (this.#seen.has(hash)) return true
    if (this.#seen.size >= this.#limits.entries) this.#seen.clear()
    this.#seen.add(hash)
    return false
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

/** FNV-1a, 32 bits. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  }
  return hash
}
