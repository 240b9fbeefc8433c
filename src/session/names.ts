// What the session's prepared statements and portals stand for. A change is announced when the
// message that makes it is forwarded, so that a pipelining client's next message sees it, and becomes
// fact when the server confirms it; when the server skips or refuses the message, the change is
// dropped and the name means what it meant. Nothing is ever rolled back by hand.

export interface Change<T> {
  readonly name: string
  /** What the name will stand for; undefined: nothing. */
  readonly value: T | undefined
}

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
    const changes = this.#announced.get(name)
    const last = changes?.[changes.length - 1]
    return last === undefined ? this.#facts.get(name) : last.value
  }

  /** What the name stands for now, as the server has confirmed it. */
  fact(name: string): T | undefined {
    return this.#facts.get(name)
  }

  announce(name: string, value: T | undefined): Change<T> {
    const change = { name, value }
    this.#weight += this.#weightOf(value)
    const changes = this.#announced.get(name)
    if (changes === undefined) this.#announced.set(name, [change])
    else changes.push(change)
    return change
  }

  confirm(change: Change<T>): void {
    this.drop(change)
    this.set(change.name, change.value)
  }

  drop(change: Change<T>): void {
    const changes = this.#announced.get(change.name)
    const at = changes?.indexOf(change) ?? -1
    if (changes === undefined || at === -1) return
    this.#weight -= this.#weightOf(change.value)
    if (changes.length === 1) this.#announced.delete(change.name)
    else changes.splice(at, 1)
  }

  /** A fact without an announcement. */
  set(name: string, value: T | undefined): void {
    this.#weight += this.#weightOf(value) - this.#weightOf(this.#facts.get(name))
    if (value === undefined) this.#facts.delete(name)
    else this.#facts.set(name, value)
  }

  /** Forgets all facts; what is announced stays announced. */
  clear(): void {
    for (const value of this.#facts.values()) this.#weight -= this.#weightOf(value)
    this.#facts.clear()
  }

  /** The facts, for who must close the books on them. */
  values(): Iterable<T> {
    return this.#facts.values()
  }

  /** What all that is known or announced keeps: what a client can make grow. */
  get weight(): number {
    return this.#weight
  }

  #weightOf(value: T | undefined): number {
    return value === undefined ? 0 : this.#weigh(value)
  }
}
