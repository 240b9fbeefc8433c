// How many of something there are now for each name, and whether there may be one more. What is over
// gives its place back; a name without places is forgotten. Ignorant of what takes them.

export interface Taken {
  /** Later calls do nothing. */
  giveBack(): void
}

export class Places {
  readonly #taken = new Map<string, number>()

  /** Looking and taking are one step: of two that come at once for the last place one gets none. */
  take(name: string, most: number | undefined): Taken | undefined {
    const taken = this.#taken.get(name) ?? 0
    if (most !== undefined && taken >= most) return undefined
    this.#taken.set(name, taken + 1)
    let held = true
    return {
      giveBack: () => {
        if (held) this.#free(name)
        held = false
      },
    }
  }

  #free(name: string): void {
    const left = (this.#taken.get(name) ?? 1) - 1
    if (left === 0) this.#taken.delete(name)
    else this.#taken.set(name, left)
  }
}
