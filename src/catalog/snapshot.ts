// From the rows of a catalog to its snapshot: which operators, types and views run code that read_only
// could not call by name, through however many others. Pure. Ignorant of how the rows were read.
// A definition's names are qualified unless they are the server's own (queries.ts sees to that).

import {
  Catalog,
  type CatalogSnapshot,
  firstUserOid,
  type SnapshotCarrier,
  type SnapshotFunction,
  type SnapshotType,
} from '../policy/catalog.ts'
import { classify } from '../policy/functions.ts'
import type { FunctionUse, NameUse } from '../sql/facts.ts'
import { type Changes, changesOf } from './changes.ts'
import { checking, type Definition } from './definitions.ts'
import type { PathRows } from './paths.ts'
import type { CastRow, CatalogRows, CodeRows, FunctionRow, TypeRow } from './queries.ts'

/** How code is reached: the function at the end, and the way there. */
type Chain = Pick<SnapshotCarrier, 'runs' | 'because'>

/** By type or relation: the functions that it runs, and the way to each. */
type Found<Key> = ReadonlyMap<Key, ReadonlyMap<string, string>>

type Read = (text: string) => Definition

/** That one thing runs: with more of them, no list of functions to be allowed is long enough. */
const mostFunctions = 50

const nothing: CatalogSnapshot = {
  format: 1,
  serverVersion: 0,
  functions: [],
  operators: [],
  types: [],
  views: [],
  relations: [],
}

/** `read` gives the query that a view's definition or a check (`checking`) is. */
export function snapshotOf(rows: CatalogRows, read: Read): CatalogSnapshot {
  const { serverVersion, relations } = rows
  const changes = changesOf(rows.functions, rows)
  let types: Found<number> = new Map()
  for (;;) {
    // A type makes functions and operators dangerous, and they make the check of another type so.
    const code = codeOf(rows, changes, types)
    const catalog = Catalog.of({ ...nothing, serverVersion, ...code })
    const more = typesThatRun(rows, read, catalog)
    if (countOf(more) === countOf(types)) {
      const views = viewsThatRun(rows, read, catalog)
      const children = rows.children.map((row) => ({
        child: { schema: row.childSchema, name: row.childName },
        parent: { schema: row.parentSchema, name: row.parentName },
      }))
      const [written, shown] = [pathsOf(rows, true, catalog), pathsOf(rows, false, catalog)]
      return { format: 1, serverVersion, ...code, views, relations, children, written, shown }
    }
    types = more
  }
}

/** Whether any type does, so that the rows of types are needed. */
export function someTypeRuns(code: CodeRows, read: Read): boolean {
  const none = { types: [], views: [], relations: [], children: [], behind: [], leads: [] }
  const rows = { ...code, ...none }
  const catalog = Catalog.of({
    ...nothing,
    serverVersion: code.serverVersion,
    ...codeOf(rows, changesOf(rows.functions, rows), new Map()),
  })
  return typesThatRun(rows, read, catalog).size > 0
}

/** Functions, operators and types, where making a value of one of `dangerous` runs code. */
function codeOf(
  rows: CatalogRows,
  changes: ReadonlyMap<FunctionRow, Changes>,
  dangerous: Found<number>,
): Pick<CatalogSnapshot, 'functions' | 'operators' | 'types'> {
  const types = rows.types.flatMap(({ type, schema, name }): readonly SnapshotType[] =>
    conversions([type], dangerous).map((chain) => ({ oid: type, schema, name, ...chain })),
  )
  const callable = rows.types.filter((row) => dangerous.has(row.type) && row.columns === null)
  const functions = [
    ...rows.functions.map((row) => functionOf(row, changes.get(row), dangerous)),
    ...callable.map(byTypeName),
  ]
  const catalog = Catalog.of({ ...nothing, serverVersion: rows.serverVersion, functions })
  return { functions, operators: operatorsThatRun(rows, dangerous, catalog), types }
}

function operatorsThatRun(
  { operators }: CatalogRows,
  dangerous: Found<number>,
  catalog: Catalog,
): readonly SnapshotCarrier[] {
  const found = new Map<string, Map<string, string>>()
  for (const row of operators) {
    const key = keyOf(row)
    const { functionSchema, functionName } = row
    const runs = row.volatile ? outOfReach(call(functionSchema, functionName), catalog) : undefined
    if (runs !== undefined) note(found, key, { runs, because: `it calls function ${runs}` })
    for (const chain of conversions(row.types, dangerous)) {
      note(found, key, through('of its operands', chain))
    }
  }
  return carriersOf(operators, found)
}

function functionOf(
  row: FunctionRow,
  changes: Changes = { sets: ['*'], unseen: true },
  dangerous: Found<number>,
): SnapshotFunction {
  const { schema, name, least, most, extension } = row
  return {
    schema,
    name,
    volatile: row.volatile || row.types.some((type) => dangerous.has(type)),
    leastArguments: least,
    mostArguments: most ?? undefined,
    extension: extension ?? undefined,
    ...changes,
  }
}

/** The name of a type can be called (not of a composite one): `d('x')` and `('x').d` are `'x'::d`. */
function byTypeName({ schema, name }: TypeRow): SnapshotFunction {
  const [leastArguments, mostArguments, extension] = [1, 1, undefined]
  // What its check, a cast or an order runs is found as a type.
  const changes = { sets: [], unseen: false }
  return { schema, name, volatile: true, leastArguments, mostArguments, extension, ...changes }
}

/** To call an operator is to convert what it is given to its types. */
function conversions(types: readonly number[], dangerous: Found<number>): readonly Chain[] {
  return types.flatMap((type) => chainsIn(dangerous.get(type)))
}

function typesThatRun(rows: CatalogRows, read: Read, catalog: Catalog): Found<number> {
  const checks = rows.checks.flatMap(({ domain, condition }) =>
    [...chainsOf(read(checking(condition)), 'its check', catalog)].map(
      (chain) => [domain, chain] as const,
    ),
  )
  return withWholes(rows, [
    ...ordered(rows, catalog),
    ...ends(rows, catalog, () => true),
    ...checks,
  ])
}

/**
 * The types between which casts convert by code that is out of reach. Where one end is the server's
 * own type, the cast can only happen where the other one is.
 */
function ends(
  rows: CatalogRows,
  catalog: Catalog,
  matters: (cast: CastRow, end: number) => boolean,
): readonly (readonly [number, Chain])[] {
  return rows.casts.flatMap((cast) => {
    const { source, target, functionSchema, functionName } = cast
    const runs = outOfReach(call(functionSchema, functionName), catalog)
    if (runs === undefined) return []
    const chain = { runs, because: `a cast of it calls function ${runs}` }
    const foreign = [source, target].filter((end) => end >= firstUserOid)
    return (foreign.length > 0 ? foreign : [source, target])
      .filter((end) => matters(cast, end))
      .map((end) => [end, chain] as const)
  })
}

/** The types whose values cannot be sorted, grouped or joined without code that is out of reach. */
function ordered(rows: CatalogRows, catalog: Catalog): readonly (readonly [number, Chain])[] {
  return rows.orders.flatMap(({ type, functionSchema, functionName }) => {
    const runs = outOfReach(call(functionSchema, functionName), catalog)
    if (runs === undefined) return []
    return [[type, { runs, because: `to compare its values calls function ${runs}` }] as const]
  })
}

/** These types and all that hold a value of one: domains over them, arrays, ranges, rows. */
function withWholes(
  rows: CatalogRows,
  parts: readonly (readonly [number, Chain])[],
): Found<number> {
  const names = new Map(rows.types.map((row) => [row.type, qualified(row)]))
  const wholes = new Map<number, number[]>()
  for (const { type, parts } of rows.types) {
    for (const part of parts) append(wholes, part, type)
  }
  return spread(parts, (part) =>
    (wholes.get(part) ?? []).map((whole) => ({
      key: whole,
      step: `it is made of type ${names.get(part) ?? part}`,
    })),
  )
}

function viewsThatRun(rows: CatalogRows, read: Read, catalog: Catalog): readonly SnapshotCarrier[] {
  const start = [...relationsOfTypes(rows, catalog)]
  const readers = new Map<string, { readonly key: string; readonly step: string }[]>()
  for (const view of rows.views) {
    const key = keyOf(view)
    const query = read(view.definition)
    for (const chain of chainsOf(query, 'its definition', catalog)) start.push([key, chain])
    for (const relation of query?.relations ?? []) {
      append(readers, keyOf(relation), { key, step: `its definition reads ${qualified(relation)}` })
    }
  }
  const found = spread(start, (relation) => readers.get(relation) ?? [])
  return carriersOf([...rows.types, ...rows.views], found)
}

/**
 * Relations with a column that is cast without its type being named (`a::text`, or nothing at all), or
 * compared without an operator (`DISTINCT`).
 */
function relationsOfTypes(
  rows: CatalogRows,
  catalog: Catalog,
): readonly (readonly [string, Chain])[] {
  const unnamed = ends(rows, catalog, ({ implicit, source }, end) => implicit || end === source)
  const found = withWholes(rows, [...ordered(rows, catalog), ...unnamed])
  return rows.types
    .filter(({ columns }) => columns === 'relation')
    .flatMap((row) => chainsIn(found.get(row.type)).map((chain) => [keyOf(row), chain] as const))
}

/** What runs, for whoever writes or reads it, a function that changes settings or may. */
function pathsOf(
  { behind, leads }: PathRows,
  write: boolean,
  catalog: Catalog,
): readonly SnapshotCarrier[] {
  const start = behind.flatMap((row): readonly (readonly [string, Chain])[] => {
    const { functionSchema, functionName, by } = row
    const code = { schema: functionSchema, name: functionName }
    if (row.write !== write || (functionSchema !== 'pg_catalog' && !changes(code, catalog)))
      return []
    const runs = qualified(code)
    return [[keyOf(row), { runs, because: `its ${by} calls function ${runs}` }]]
  })
  const back = new Map<string, { readonly key: string; readonly step: string }[]>()
  for (const lead of leads) {
    const to = { schema: lead.toSchema, name: lead.toName }
    const step = `it leads to ${qualified(to)}`
    if (lead.write === write) append(back, keyOf(to), { key: keyOf(lead), step })
  }
  return carriersOf(
    [...behind, ...leads],
    spread(start, (key) => back.get(key) ?? []),
  )
}

function changes(code: NameUse, catalog: Catalog): boolean {
  return catalog.functions(code).some(({ sets = [], unseen }) => sets.length > 0 || unseen)
}

/** How a definition comes to run code, once for each function at the end; none when it does not. */
function* chainsOf(query: Definition, whose: string, catalog: Catalog): Iterable<Chain> {
  if (query === undefined) {
    yield { runs: 'unknown', because: `${whose} cannot be read` }
    return
  }
  // A setting would be changed for whoever reads.
  if (query.settings.length > 0) {
    yield { runs: 'pg_catalog.set_config', because: `${whose} changes settings` }
  }
  // A view can lock the rows that it shows: no code, and no reading either.
  const more = query.actions.find(({ command }) => command !== 'SELECT')
  if (more !== undefined) yield { runs: 'unknown', because: `${whose} does ${more.command}` }
  for (const use of query.functions) {
    const runs = outOfReach(use, catalog)
    if (runs !== undefined) yield { runs, because: `${whose} calls function ${runs}` }
  }
  for (const use of query.operators) {
    for (const carrier of catalog.operators(use)) {
      yield through(`${whose} uses operator ${qualified(carrier)}`, carrier)
    }
  }
  for (const use of query.types) {
    for (const carrier of catalog.types(use)) {
      yield through(`${whose} uses type ${qualified(carrier)}`, carrier)
    }
  }
}

/** From where code runs to all that leads there: `next` gives what contains or reads a thing. */
function spread<Key>(
  start: readonly (readonly [Key, Chain])[],
  next: (key: Key) => readonly { readonly key: Key; readonly step: string }[],
): Found<Key> {
  const found = new Map<Key, Map<string, string>>()
  const queue = start.flatMap(([key, chain]) => note(found, key, chain))
  // An array's iterator also comes to what is added meanwhile.
  for (const { key, chain } of queue) {
    for (const { key: whole, step } of next(key)) {
      queue.push(...note(found, whole, through(step, chain)))
    }
  }
  return found
}

/** Keeps the first way to each function. Returns what is new. */
function note<Key>(
  found: Map<Key, Map<string, string>>,
  key: Key,
  chain: Chain,
): readonly { readonly key: Key; readonly chain: Chain }[] {
  const known = found.get(key) ?? new Map<string, string>()
  found.set(key, known)
  if (known.has(chain.runs)) return []
  const because = `it runs more than ${mostFunctions} functions`
  const kept = known.size < mostFunctions ? chain : { runs: 'unknown', because }
  if (known.has(kept.runs)) return []
  known.set(kept.runs, kept.because)
  return [{ key, chain: kept }]
}

function chainsIn(ways: ReadonlyMap<string, string> = new Map()): readonly Chain[] {
  return [...ways].map(([runs, because]) => ({ runs, because }))
}

function countOf(found: Found<number>): number {
  return [...found.values()].reduce((sum, ways) => sum + ways.size, 0)
}

/** Those among `all` that were found, each name once. */
function carriersOf(
  all: readonly { readonly schema: string; readonly name: string }[],
  found: Found<string>,
): readonly SnapshotCarrier[] {
  const named = new Map(all.map(({ schema, name }) => [keyOf({ schema, name }), { schema, name }]))
  return [...named].flatMap(([key, thing]) =>
    chainsIn(found.get(key)).map((chain) => ({ ...thing, ...chain })),
  )
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}

/** The name of a function that read_only could not call by it; undefined when it could. */
function outOfReach(use: FunctionUse, catalog: Catalog): string | undefined {
  // The server writes every call in a definition as one: with a dot before it this is a column.
  if (use.notation === 'attribute') return undefined
  const builtIn = { ...use, schema: 'pg_catalog' }
  const written = use.schema === undefined ? builtIn : use
  if (classify(written, catalog) === 'harmless') return undefined
  // The lists know functions of extensions as well, and not where they were installed.
  const meanings = catalog.functions(written)
  const listed =
    meanings.length > 0 &&
    meanings.every(({ extension }) => extension !== undefined) &&
    classify(builtIn, catalog) === 'harmless'
  return listed ? undefined : qualified(written)
}

function call(schema: string, name: string): FunctionUse {
  return { schema, name, notation: 'call', arguments: undefined, constants: [], since: undefined }
}

function through(step: string, { runs, because }: Chain): Chain {
  // Views can be stacked by the hundred, and nobody reads that.
  const rest = because.length > 500 ? `... ${because.split(': ').at(-1) ?? ''}` : because
  return { runs, because: `${step}: ${rest}` }
}

function qualified({ schema, name }: NameUse): string {
  return schema === undefined ? name : `${schema}.${name}`
}

/** Names may contain dots. */
function keyOf({ schema, name }: NameUse): string {
  return JSON.stringify([schema, name])
}
