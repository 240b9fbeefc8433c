// What a text does not show and the database knows: user functions and their volatility, and where they
// hide - behind operators, types, views. A snapshot of it is plain data, taken by an adapter or read
// from a file; a Catalog answers questions about it. Ignorant of how a snapshot is taken and of roles.

import type { NameUse } from '../sql/facts.ts'

/** Objects below this OID came with the server (FirstNormalObjectId in transam.h). */
export const firstUserOid = 16384

/** A function, procedure or aggregate that did not come with the server. */
export interface SnapshotFunction {
  readonly schema: string
  readonly name: string
  /** Of an aggregate: whether one of its support functions is. */
  readonly volatile: boolean
  /** How many arguments a call may have; no upper bound for a variadic one. */
  readonly leastArguments: number
  readonly mostArguments: number | undefined
  /** The extension that it belongs to. */
  readonly extension: string | undefined
  /**
   * Settings that it changes, itself or by what it calls, in lower case, as far as its text tells; `*`:
   * any. Undefined where nobody has looked.
   */
  readonly sets?: readonly string[]
  /** Whether it runs what its text does not show: SQL that it puts together, another language. */
  readonly unseen?: boolean
}

/** Something that runs a function without naming it: there is one for each function that it runs. */
export interface SnapshotCarrier {
  readonly schema: string
  readonly name: string
  /** The function at the end of the chain, as `schema.name`: what a role would have to be allowed. */
  readonly runs: string
  /** The chain, for people: `its definition calls function public.f`. */
  readonly because: string
}

export interface SnapshotType extends SnapshotCarrier {
  /** By which a message can name it where no text does. */
  readonly oid: number
}

/** Plain data: can be written to a file as JSON and read again. */
export interface CatalogSnapshot {
  readonly format: 1
  /** As `server_version_num`: 150018, 180004. */
  readonly serverVersion: number
  readonly functions: readonly SnapshotFunction[]
  /** Operators whose function is volatile. */
  readonly operators: readonly SnapshotCarrier[]
  /** Types whose use runs volatile code: by a domain's CHECK, a cast, the order of its values. */
  readonly types: readonly SnapshotType[]
  /** Views that call what is not harmless, and tables whose columns convert or compare by what is not. */
  readonly views: readonly SnapshotCarrier[]
  /** Every relation outside the server's own schemas: what an unqualified name can mean. */
  readonly relations: readonly RelationName[]
  /** Partitions and children, each with one it belongs to: a parent shows the rows of its children. */
  readonly children?: readonly { readonly child: RelationName; readonly parent: RelationName }[]
  /** What changes settings for whoever writes it: by triggers, defaults, checks, rules, and what these lead to. */
  readonly written?: readonly SnapshotCarrier[]
  /** Views and domains that do so for whoever reads them, or converts to them. */
  readonly shown?: readonly SnapshotCarrier[]
}

export interface RelationName {
  readonly schema: string
  readonly name: string
}

let versions = 0

export class Catalog {
  /** Another one for each catalog: part of what a judgement is remembered under. */
  readonly version = ++versions
  /** Undefined where nobody has said: the newest is assumed. */
  readonly serverVersion: number | undefined
  /** Whether there is a snapshot behind it; without one all that it does not know is unknown. */
  readonly complete: boolean
  readonly #functions: ReadonlyMap<string, readonly SnapshotFunction[]>
  readonly #operators: ReadonlyMap<string, readonly SnapshotCarrier[]>
  readonly #types: ReadonlyMap<string, readonly SnapshotType[]>
  readonly #typesByOid: ReadonlyMap<number, readonly SnapshotType[]>
  readonly #views: ReadonlyMap<string, readonly SnapshotCarrier[]>
  readonly #relations: ReadonlyMap<string, readonly NameUse[]>
  readonly #parents: ReadonlyMap<string, readonly RelationName[]>
  readonly #children: ReadonlyMap<string, readonly RelationName[]>
  readonly #written: ReadonlyMap<string, readonly SnapshotCarrier[]>
  readonly #shown: ReadonlyMap<string, readonly SnapshotCarrier[]>

  private constructor(serverVersion: number | undefined, snapshot: CatalogSnapshot | undefined) {
    this.serverVersion = serverVersion
    this.complete = snapshot !== undefined
    this.#functions = byName(snapshot?.functions)
    this.#operators = byName(snapshot?.operators)
    this.#types = byName(snapshot?.types)
    this.#typesByOid = grouped(snapshot?.types, ({ oid }) => oid)
    this.#views = byName(snapshot?.views)
    this.#relations = byName(snapshot?.relations)
    const pairs = snapshot?.children ?? []
    this.#parents = linked(pairs.map(({ child, parent }) => [child, parent]))
    this.#children = linked(pairs.map(({ child, parent }) => [parent, child]))
    this.#written = byName(snapshot?.written)
    this.#shown = byName(snapshot?.shown)
  }

  static of(snapshot: CatalogSnapshot): Catalog {
    return new Catalog(snapshot.serverVersion, snapshot)
  }

  /** Without a snapshot. */
  static unread(serverVersion?: number): Catalog {
    return new Catalog(serverVersion, undefined)
  }

  /** The user functions that a name can mean; in any schema when it has none. */
  functions(use: NameUse): readonly SnapshotFunction[] {
    return meant(this.#functions, use)
  }

  /** What the user operators that a name can mean run; in any schema when it has none. */
  operators(use: NameUse): readonly SnapshotCarrier[] {
    return meant(this.#operators, use)
  }

  types(use: NameUse): readonly SnapshotCarrier[] {
    return meant(this.#types, use)
  }

  typesByOid(oid: number): readonly SnapshotType[] {
    return this.#typesByOid.get(oid) ?? nothing
  }

  views(use: NameUse): readonly SnapshotCarrier[] {
    return meant(this.#views, use)
  }

  /** The relations outside the server's own schemas that a name can mean. */
  relations(use: NameUse): readonly NameUse[] {
    return meant(this.#relations, use)
  }

  /** The relation itself, those whose rows it shows, and those that show its rows. */
  family(relation: NameUse): readonly NameUse[] {
    return [relation, ...reached(this.#parents, relation), ...reached(this.#children, relation)]
  }

  /** What writing the relation runs that changes settings. */
  written(use: NameUse): readonly SnapshotCarrier[] {
    return meant(this.#written, use)
  }

  /** What reading the view, or converting to the domain, runs that changes settings. */
  shown(use: NameUse): readonly SnapshotCarrier[] {
    return meant(this.#shown, use)
  }

  /** The user functions of this name, `schema.name`. */
  named(qualified: string): readonly SnapshotFunction[] {
    // Either may hold a dot.
    const cuts = [...qualified.matchAll(/\./g)].map(({ index }) => index)
    return cuts.flatMap((at) =>
      this.functions({ schema: qualified.slice(0, at), name: qualified.slice(at + 1) }),
    )
  }
}

function byName<T extends { readonly name: string }>(
  all: readonly T[] | undefined,
): ReadonlyMap<string, readonly T[]> {
  return grouped(all, ({ name }) => name)
}

function grouped<Key, T>(
  all: readonly T[] = [],
  keyOf: (one: T) => Key,
): ReadonlyMap<Key, readonly T[]> {
  const map = new Map<Key, T[]>()
  for (const one of all) {
    const same = map.get(keyOf(one))
    if (same === undefined) map.set(keyOf(one), [one])
    else same.push(one)
  }
  return map
}

const nothing: readonly never[] = []

/** Names may contain dots. */
function keyOf({ schema, name }: NameUse): string {
  return JSON.stringify([schema, name])
}

function linked(
  pairs: readonly (readonly [RelationName, RelationName])[],
): ReadonlyMap<string, readonly RelationName[]> {
  const links = grouped(pairs, ([from]) => keyOf(from))
  return new Map([...links].map(([key, found]) => [key, found.map(([, to]) => to)]))
}

/** However many generations away. */
function reached(
  links: ReadonlyMap<string, readonly RelationName[]>,
  from: NameUse,
): readonly RelationName[] {
  const seen = new Map<string, RelationName>()
  const queue: NameUse[] = [from]
  // An array's iterator also comes to what is added meanwhile.
  for (const at of queue) {
    for (const next of links.get(keyOf(at)) ?? nothing) {
      if (seen.has(keyOf(next))) continue
      seen.set(keyOf(next), next)
      queue.push(next)
    }
  }
  return [...seen.values()]
}

function meant<T extends NameUse>(
  map: ReadonlyMap<string, readonly T[]>,
  { schema, name }: NameUse,
): readonly T[] {
  const named = map.get(name) ?? nothing
  return schema === undefined ? named : named.filter((one) => one.schema === schema)
}
