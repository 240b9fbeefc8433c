// What the session's prepared statements and portals stand for. A change is announced when the message
// that makes it is forwarded, so that a pipelining client's next message sees it, and becomes fact when
// the server confirms it; when the server skips or refuses the message, the change is dropped and the
// name means what it meant. Nothing is ever rolled back by hand.
// An announcement holds for the messages of its own Sync group: if it is skipped, so are they. Across
// groups nobody can tell yet, and `unsettled` says so.

export interface Change<T> {
  /** The name as the server cuts it. */
  readonly key: string
  /** What the name will stand for; undefined: nothing. */
  readonly value: T | undefined
  /** The Sync group of the message that makes it. */
  readonly group: number
}

/** PostgreSQL's NAMEDATALEN - 1: longer names are cut, so that two of them can be one. */
const longestName = 63

/** A client that never closes its statements must not fill our memory. */
const maxWeight = 64 * 1024 * 1024

export class Names<T> {
  readonly #facts = new Map<string, T>()
  readonly #announced = new Map<string, Change<T>[]>()
  readonly #weigh: (value: T) => number
  #weight = 0

  /** `weigh` tells the memory that a value keeps, in bytes or so. */
  constructor(weigh: (value: T) => number) {
    this.#weigh = weigh
  }

  /** What the name stands for once everything forwarded so far has succeeded. */
  get(name: string): T | undefined {
    const key = keyOf(name)
    const changes = this.#announced.get(key)
    const last = changes?.[changes.length - 1]
    return last === undefined ? this.#facts.get(key) : last.value
  }

  /**
   * Whether a message of `group` might meet another meaning of the name than `get` tells: the change
   * was announced in an earlier group, is not confirmed, and there is something that it replaces.
   */
  unsettled(name: string, group: number): boolean {
    const key = keyOf(name)
    const changes = this.#announced.get(key)
    const last = changes?.[changes.length - 1]
    if (changes === undefined || last === undefined || last.group === group) return false
    return (
      this.#facts.has(key) ||
      changes.some(({ value }) => value !== undefined && value !== last.value)
    )
  }

  /** What the change's name stands for until it is confirmed. */
  replacedBy(change: Change<T>): T | undefined {
    return this.#facts.get(change.key)
  }

  announce(name: string, value: T | undefined, group: number): Change<T> {
    const change = { key: keyOf(name), value, group }
    this.#weight += this.#weightOf(value)
    const changes = this.#announced.get(change.key)
    if (changes === undefined) this.#announced.set(change.key, [change])
    else changes.push(change)
    return change
  }

  confirm(change: Change<T>): void {
    this.drop(change)
    this.#put(change.key, change.value)
  }

  drop(change: Change<T>): void {
    const changes = this.#announced.get(change.key)
    const at = changes?.indexOf(change) ?? -1
    if (changes === undefined || at === -1) return
    this.#weight -= this.#weightOf(change.value)
    if (changes.length === 1) this.#announced.delete(change.key)
    else changes.splice(at, 1)
  }

  /** A fact without an announcement. */
  set(name: string, value: T | undefined): void {
    this.#put(keyOf(name), value)
  }

  #put(key: string, value: T | undefined): void {
    this.#weight += this.#weightOf(value) - this.#weightOf(this.#facts.get(key))
    if (value === undefined) this.#facts.delete(key)
    else this.#facts.set(key, value)
  }

  /**
   * Forgets the facts that `which` says, and returns them for who must close the books on them. What is
   * announced stays announced.
   */
  forget(which: (value: T, key: string) => boolean): readonly T[] {
    const gone = [...this.#facts].filter(([key, value]) => which(value, key))
    for (const [key] of gone) this.#put(key, undefined)
    return gone.map(([, value]) => value)
  }

  /** All that is known or announced keeps more than it may; a client decides how much that is. */
  get full(): boolean {
    return this.#weight > maxWeight
  }

  #weightOf(value: T | undefined): number {
    return value === undefined ? 0 : this.#weigh(value)
  }
}

/** The name as the server's hash table has it: its first 63 bytes. */
function keyOf(name: string): string {
  // At most four bytes a character: most names need no counting.
  if (name.length * 4 <= longestName) return name
  return Buffer.from(name).toString('latin1', 0, longestName)
}
