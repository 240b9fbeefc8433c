// A counter for the hot path: prom-client hashes the labels at every increment, this one follows a
// chain of Maps to a number and hands the sums over when somebody scrapes. Ignorant of what is counted.

import { Counter, type Registry } from 'prom-client'

interface Branch {
  pending: number
  readonly next: Map<string, Branch>
}

export class Tally<Label extends string> {
  readonly #counter: Counter<Label>
  readonly #labels: readonly Label[]
  readonly #root: Branch = { pending: 0, next: new Map() }

  constructor(registry: Registry, name: string, help: string, labels: readonly Label[]) {
    this.#labels = labels
    this.#counter = new Counter({
      name,
      help,
      labelNames: labels,
      registers: [registry],
      collect: () => this.#handOver(this.#root, {}),
    })
  }

  /**
   * Adds to the counter with these label values, in the order of the labels' names. A value must come
   * from a bounded set: each combination is kept for good.
   */
  add(amount: number, ...values: readonly string[]): void {
    let branch = this.#root
    for (const value of values) {
      let next = branch.next.get(value)
      if (next === undefined) {
        next = { pending: 0, next: new Map() }
        branch.next.set(value, next)
      }
      branch = next
    }
    branch.pending += amount
  }

  #handOver(branch: Branch, labels: Partial<Record<Label, string>>, depth = 0): void {
    const label = this.#labels[depth]
    if (label === undefined) {
      this.#counter.inc(labels, branch.pending)
      branch.pending = 0
      return
    }
    for (const [value, next] of branch.next) {
      this.#handOver(next, { ...labels, [label]: value }, depth + 1)
    }
  }
}
