// What is another in a configuration than in the one before, setting by setting, as the file has it: for
// the audit and for whoever has changed it. No secret is shown, only that it is another. Ignorant of what a
// change brings about.

import { isClosed, isPlain, same } from './same.ts'

export interface Difference {
  /** As the file has it: `targets.shop.limits.idleTimeout`. */
  readonly path: string
  /** Undefined: it is not written there, and the default holds. */
  readonly from: string | undefined
  readonly to: string | undefined
}

type Path = readonly (string | number)[]

const hidden = '[redacted]'
/** Of what is shown of a value, in characters: a certificate or a list of statements can be long. */
const longest = 200

/** A configuration as it was read. What the file says can be a secret, so that nothing of it is ever printed. */
export class Settings {
  readonly #effective: unknown
  readonly #written: unknown

  /** `effective`: with defaults, secrets and files read; that is compared. `written`: the file; that is shown. */
  constructor(effective: unknown, written: unknown) {
    this.#effective = effective
    this.#written = written
  }

  /** In the order of their paths. */
  differencesFrom(before: Settings): readonly Difference[] {
    return differences(
      { leaves: leavesOf(before.#effective, before.#written), written: before.#written },
      { leaves: leavesOf(this.#effective, this.#written), written: this.#written },
    )
  }
}

interface Side {
  readonly leaves: Leaves
  readonly written: unknown
}

function differences(before: Side, after: Side): readonly Difference[] {
  const [old, current] = [before.leaves, after.leaves]
  const changed = new Set<string>()
  for (const key of new Set([...old.keys(), ...current.keys()])) {
    const [was, is] = [old.get(key), current.get(key)]
    if (was !== undefined && is !== undefined && same(was.value, is.value)) continue
    for (const leaf of [was, is]) if (leaf !== undefined) changed.add(leaf.name)
  }
  const secrets = [...old.values(), ...current.values()]
    .filter(({ value }) => isClosed(value))
    .map(({ name }) => name)
  // Several values can come from one text, and a text can be all of a list with secrets in it.
  const isSecret = (name: string): boolean =>
    secrets.some((secret) => secret === name || secret.startsWith(`${name}.`))
  const [from, to] = [textsOf(before), textsOf(after)]
  return [...changed]
    .sort()
    .map((path) => ({ path, from: from(path, isSecret(path)), to: to(path, isSecret(path)) }))
    .filter((one) => one.from !== undefined || one.to !== undefined)
}

interface Leaf {
  readonly value: unknown
  /** Where it is written, or would be. */
  readonly written: Path
  /** The same as a text. */
  readonly name: string
}

type Leaves = ReadonlyMap<string, Leaf>

/** By path. A list of plain values is one of them, whose changes are read as a whole; so is what is empty. */
function leavesOf(effective: unknown, written: unknown): Leaves {
  const leaves = new Map<string, Leaf>()
  const walk = (value: unknown, path: Path): void => {
    if (Array.isArray(value) && value.some((item) => typeof item === 'object')) {
      for (const [at, item] of value.entries()) walk(item, [...path, at])
    } else if (isPlain(value) && Object.values(value).some((item) => item !== undefined)) {
      for (const [name, item] of Object.entries(value)) walk(item, [...path, name])
    } else if (value !== undefined) {
      const there = asWritten(path, written)
      leaves.set(JSON.stringify(path), { value, written: there, name: there.join('.') })
    }
  }
  walk(effective, [])
  return leaves
}

/** One may stand for a list of one, a text for a mapping, and `{ file: PATH }` for what is in the file. */
function asWritten(path: Path, written: unknown): Path {
  const found: (string | number)[] = []
  let node = written
  for (const step of path) {
    if (Array.isArray(node)) {
      if (typeof step !== 'number') break
      node = node[step]
    } else if (isPlain(node)) {
      if (typeof step === 'number') continue
      node = node[step]
    } else if (node !== undefined) {
      break
    }
    found.push(step)
  }
  return found
}

/** How one side has the setting of a name; undefined where that side has none there, or does not write it. */
function textsOf({ leaves, written }: Side) {
  const paths = new Map([...leaves.values()].map((leaf) => [leaf.name, leaf.written]))
  return (name: string, secret: boolean): string | undefined => {
    const path = paths.get(name)
    const value = path && valueAt(path, written)
    if (value === undefined || value === null) return undefined
    if (secret) return hidden
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return text.length > longest ? `${text.slice(0, longest)}...` : text
  }
}

function valueAt(path: Path, tree: unknown): unknown {
  let value = tree
  for (const step of path) {
    value = Array.isArray(value) || isPlain(value) ? Reflect.get(value, step) : undefined
  }
  return value
}
