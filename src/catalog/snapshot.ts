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
import { checking, type Definition } from './definitions.ts'
import type { CastRow, CatalogRows, CodeRows, FunctionRow, TypeRow } from './queries.ts'

/** How code is reached: the function at the end, and the way there. */
type Chain = Pick<SnapshotCarrier, 'runs' | 'because'>

type Read = (text: string) => Definition

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
  let types: ReadonlyMap<number, Chain> = new Map()
  for (;;) {
    // A type makes functions and operators dangerous, and they make the check of another type so.
    const found = {
      format: 1,
      serverVersion,
      ...codeOf(rows, types),
      views: [],
      relations,
    } as const
    const catalog = Catalog.of(found)
    const more = typesThatRun(rows, read, catalog)
    if (more.size > types.size) types = more
    else return { ...found, views: viewsThatRun(rows, read, catalog) }
  }
}

/** Whether any type does, so that the rows of types are needed. */
export function someTypeRuns(code: CodeRows, read: Read): boolean {
  const rows = { ...code, types: [], views: [], relations: [] }
  const catalog = Catalog.of({
    ...nothing,
    serverVersion: code.serverVersion,
    ...codeOf(rows, new Map()),
  })
  return typesThatRun(rows, read, catalog).size > 0
}

/** Functions, operators and types, where making a value of one of `dangerous` runs code. */
function codeOf(
  rows: CatalogRows,
  dangerous: ReadonlyMap<number, Chain>,
): Pick<CatalogSnapshot, 'functions' | 'operators' | 'types'> {
  const types = rows.types.flatMap(({ type, schema, name }): readonly SnapshotType[] => {
    const chain = dangerous.get(type)
    return chain === undefined ? [] : [{ oid: type, schema, name, ...chain }]
  })
  const callable = rows.types.filter((row) => dangerous.has(row.type) && row.columns === null)
  const functions = [
    ...rows.functions.map((row) => functionOf(row, dangerous)),
    ...callable.map(byTypeName),
  ]
  const catalog = Catalog.of({ ...nothing, serverVersion: rows.serverVersion, functions })
  const operators = rows.operators.flatMap((row): readonly SnapshotCarrier[] => {
    const { schema, name, functionSchema, functionName } = row
    const runs = row.volatile ? outOfReach(call(functionSchema, functionName), catalog) : undefined
    if (runs !== undefined) return [{ schema, name, runs, because: `it calls function ${runs}` }]
    const chain = conversion(row.types, dangerous)
    return chain === undefined ? [] : [{ schema, name, ...through('of its operands', chain) }]
  })
  return { functions, operators, types }
}

function functionOf(row: FunctionRow, dangerous: ReadonlyMap<number, Chain>): SnapshotFunction {
  const { schema, name, least, most, extension } = row
  return {
    schema,
    name,
    volatile: row.volatile || conversion(row.types, dangerous) !== undefined,
    leastArguments: least,
    mostArguments: most ?? undefined,
    extension: extension ?? undefined,
  }
}

/** The name of a type can be called (not of a composite one): `d('x')` and `('x').d` are `'x'::d`. */
function byTypeName({ schema, name }: TypeRow): SnapshotFunction {
  const [leastArguments, mostArguments, extension] = [1, 1, undefined]
  return { schema, name, volatile: true, leastArguments, mostArguments, extension }
}

/** To call a function or an operator is to convert what it is given to its types. */
function conversion(
  types: readonly number[],
  dangerous: ReadonlyMap<number, Chain>,
): Chain | undefined {
  const type = types.find((one) => dangerous.has(one))
  return type === undefined ? undefined : dangerous.get(type)
}

function typesThatRun(rows: CatalogRows, read: Read, catalog: Catalog): ReadonlyMap<number, Chain> {
  const chains = new Map([...ordered(rows, catalog), ...ends(rows, catalog, () => true)])
  for (const { domain, condition } of rows.checks) {
    const chain = chainOf(read(checking(condition)), 'its check', catalog)
    if (chain !== undefined) chains.set(domain, chain)
  }
  return withWholes(rows, chains)
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
  parts: ReadonlyMap<number, Chain>,
): ReadonlyMap<number, Chain> {
  const names = new Map(rows.types.map((row) => [row.type, qualified(row)]))
  const wholes = new Map<number, number[]>()
  for (const { type, parts } of rows.types) {
    for (const part of parts) {
      const known = wholes.get(part)
      if (known === undefined) wholes.set(part, [type])
      else known.push(type)
    }
  }
  const found = new Map(parts)
  // A Map's iterator also comes to what is added meanwhile.
  for (const [part, chain] of found) {
    for (const whole of wholes.get(part) ?? []) {
      if (found.has(whole)) continue
      found.set(whole, through(`it is made of type ${names.get(part) ?? part}`, chain))
    }
  }
  return found
}

function viewsThatRun(rows: CatalogRows, read: Read, catalog: Catalog): readonly SnapshotCarrier[] {
  const found = new Map(relationsOfTypes(rows, catalog))
  for (let before = -1; before < found.size; ) {
    before = found.size
    for (const { schema, name, definition } of rows.views) {
      const key = keyOf({ schema, name })
      if (found.has(key)) continue
      const query = read(definition)
      const chain = chainOf(query, 'its definition', catalog) ?? overView(query, found)
      if (chain !== undefined) found.set(key, { schema, name, ...chain })
    }
  }
  return [...found.values()]
}

/**
 * Relations with a column that is cast without its type being named (`a::text`, or nothing at all), or
 * compared without an operator (`DISTINCT`).
 */
function relationsOfTypes(
  rows: CatalogRows,
  catalog: Catalog,
): readonly (readonly [string, SnapshotCarrier])[] {
  const unnamed = ends(rows, catalog, ({ implicit, source }, end) => implicit || end === source)
  const chains = withWholes(rows, new Map([...ordered(rows, catalog), ...unnamed]))
  return rows.types.flatMap(({ type, schema, name, columns }) => {
    const chain = columns === 'relation' ? chains.get(type) : undefined
    return chain === undefined ? [] : [[keyOf({ schema, name }), { schema, name, ...chain }]]
  })
}

function overView(
  query: Definition,
  found: ReadonlyMap<string, SnapshotCarrier>,
): Chain | undefined {
  for (const relation of query?.relations ?? []) {
    const carrier = found.get(keyOf(relation))
    if (carrier !== undefined)
      return through(`its definition reads ${qualified(relation)}`, carrier)
  }
  return undefined
}

/** How a definition comes to run code; undefined when it does not. */
function chainOf(query: Definition, whose: string, catalog: Catalog): Chain | undefined {
  if (query === undefined) return { runs: 'unknown', because: `${whose} cannot be read` }
  // A setting would be changed for whoever reads.
  if (query.settings.length > 0) {
    return { runs: 'pg_catalog.set_config', because: `${whose} changes settings` }
  }
  // A view can lock the rows that it shows: no code, and no reading either.
  const more = query.actions.find(({ command }) => command !== 'SELECT')
  if (more !== undefined) return { runs: 'unknown', because: `${whose} does ${more.command}` }
  for (const use of query.functions) {
    const runs = outOfReach(use, catalog)
    if (runs !== undefined) return { runs, because: `${whose} calls function ${runs}` }
  }
  for (const use of query.operators) {
    const carrier = catalog.operator(use)
    if (carrier !== undefined) {
      return through(`${whose} uses operator ${qualified(carrier)}`, carrier)
    }
  }
  for (const use of query.types) {
    const carrier = catalog.type(use)
    if (carrier !== undefined) return through(`${whose} uses type ${qualified(carrier)}`, carrier)
  }
  return undefined
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
