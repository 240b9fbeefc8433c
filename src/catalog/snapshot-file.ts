// A snapshot as a file: what `policy snapshot` prints and `policy check --catalog` takes. The file is
// input: anything in it may be wrong, and half a snapshot would be judged by as if it were whole.

import { readFile } from 'node:fs/promises'
import { Failure } from '../errors.ts'
import type {
  CatalogSnapshot,
  RelationName,
  SnapshotCarrier,
  SnapshotFunction,
  SnapshotType,
} from '../policy/catalog.ts'

/** For people and for diff: one line a field, with a line end. */
export function snapshotText(snapshot: CatalogSnapshot): string {
  return `${JSON.stringify(snapshot, null, 2)}\n`
}

/** @throws Failure that names the file and the first thing that is wrong with it. */
export async function readSnapshotFile(path: string): Promise<CatalogSnapshot> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unusable(path, 'cannot be read', { cause })
  })
  return parseSnapshot(text, path)
}

/** `fileName` is for the message. @throws Failure */
export function parseSnapshot(text: string, fileName: string): CatalogSnapshot {
  try {
    const root = record(JSON.parse(text), 'the file')
    if (root['format'] !== 1) throw new Mistake('format', 'expected 1: this is no catalog snapshot')
    return {
      format: 1,
      serverVersion: whole(root['serverVersion'], 'serverVersion'),
      functions: items(root, 'functions', functionOf),
      operators: items(root, 'operators', carrierOf),
      types: items(root, 'types', typeOf),
      views: items(root, 'views', carrierOf),
      relations: items(root, 'relations', relationOf),
      // Not in the files of older versions.
      ...('children' in root && { children: items(root, 'children', childOf) }),
      ...('written' in root && { written: items(root, 'written', carrierOf) }),
      ...('shown' in root && { shown: items(root, 'shown', carrierOf) }),
    }
  } catch (error) {
    if (error instanceof Mistake) throw unusable(fileName, error.message)
    if (error instanceof SyntaxError) throw unusable(fileName, `not JSON: ${error.message}`)
    throw error
  }
}

/** What is wrong, and where in the file. */
class Mistake extends Error {
  constructor(path: string, message: string) {
    super(`${path}: ${message}`)
  }
}

type Item = Readonly<Record<string, unknown>>

function functionOf(item: Item, path: string): SnapshotFunction {
  const { schema, name: own, volatile, leastArguments, mostArguments, extension } = item
  const { sets, unseen } = item
  if (typeof volatile !== 'boolean') throw new Mistake(`${path}.volatile`, 'expected true or false')
  return {
    schema: name(schema, `${path}.schema`),
    name: name(own, `${path}.name`),
    volatile,
    leastArguments: whole(leastArguments, `${path}.leastArguments`),
    mostArguments: optional(mostArguments, (value) => whole(value, `${path}.mostArguments`)),
    extension: optional(extension, (value) => name(value, `${path}.extension`)),
    // What an older version has written says nothing of them, and then they are not known.
    ...(sets !== undefined && { sets: texts(sets, `${path}.sets`) }),
    ...(typeof unseen === 'boolean' && { unseen }),
  }
}

function relationOf(item: Item, path: string): RelationName {
  return {
    schema: name(item['schema'], `${path}.schema`),
    name: name(item['name'], `${path}.name`),
  }
}

function childOf(item: Item, path: string): { child: RelationName; parent: RelationName } {
  const part = (key: 'child' | 'parent'): RelationName =>
    relationOf(record(item[key], `${path}.${key}`), `${path}.${key}`)
  return { child: part('child'), parent: part('parent') }
}

function typeOf(item: Item, path: string): SnapshotType {
  return { oid: whole(item['oid'], `${path}.oid`), ...carrierOf(item, path) }
}

function carrierOf(item: Item, path: string): SnapshotCarrier {
  return {
    schema: name(item['schema'], `${path}.schema`),
    name: name(item['name'], `${path}.name`),
    runs: name(item['runs'], `${path}.runs`),
    because: name(item['because'], `${path}.because`),
  }
}

function items<T>(root: Item, key: string, read: (item: Item, path: string) => T): readonly T[] {
  const list = root[key]
  if (!Array.isArray(list)) throw new Mistake(key, 'expected a list')
  return list.map((item: unknown, index) => {
    const path = `${key}[${index}]`
    return read(record(item, path), path)
  })
}

function record(value: unknown, path: string): Item {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Mistake(path, 'expected an object')
  }
  return { ...value }
}

function name(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new Mistake(path, 'expected a text')
}

function texts(value: unknown, path: string): readonly string[] {
  if (!Array.isArray(value)) throw new Mistake(path, 'expected a list')
  return value.map((item, index) => name(item, `${path}[${index}]`))
}

function whole(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value
  throw new Mistake(path, 'expected a whole number')
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value)
}

function unusable(file: string, what: string, options?: { readonly cause: unknown }): Failure {
  return new Failure(
    'invalid_configuration',
    {
      message: `${file}: ${what}`,
      hint: 'Make one with pgwarden policy snapshot --config FILE --target NAME.',
    },
    options,
  )
}
