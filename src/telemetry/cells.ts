// What is counted, by label values: a chain of Maps, one for each label, to what is kept for that combination.
// Ignorant of what that is and of who looks.

interface Branch<Cell> {
  cell: Cell | undefined
  readonly next: Map<string, Branch<Cell>>
}

export class Cells<Cell> {
  readonly #labels: readonly string[]
  readonly #make: () => Cell
  readonly #root: Branch<Cell> = { cell: undefined, next: new Map() }

  /** Without labels the only cell is there from the start: an alert can watch it before anything happened. */
  constructor(labels: readonly string[], make: () => Cell) {
    this.#labels = labels
    this.#make = make
    if (labels.length === 0) this.#root.cell = make()
  }

  /** That of these values, in the order of the labels; made when there is none, and kept for good. */
  at(values: readonly string[]): Cell {
    let branch = this.#root
    for (const value of values) {
      let next = branch.next.get(value)
      if (next === undefined) {
        next = { cell: undefined, next: new Map() }
        branch.next.set(value, next)
      }
      branch = next
    }
    branch.cell ??= this.#make()
    return branch.cell
  }

  all(): readonly { readonly labels: Readonly<Record<string, string>>; readonly cell: Cell }[] {
    return [...this.#below(this.#root, {}, 0)]
  }

  *#below(
    { cell, next }: Branch<Cell>,
    labels: Readonly<Record<string, string>>,
    depth: number,
  ): Generator<{ readonly labels: Readonly<Record<string, string>>; readonly cell: Cell }> {
    if (cell !== undefined) yield { labels, cell }
    const label = this.#labels[depth]
    if (label === undefined) return
    for (const [value, branch] of next) {
      yield* this.#below(branch, { ...labels, [label]: value }, depth + 1)
    }
  }
}
