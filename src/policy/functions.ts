// What a function that a statement calls may do. The lists are by name, because a parse tree knows no
// types; a name that is in none of them is user code, about which the catalog may know more. Name
// resolution: PostgreSQL documentation, "Functions: function type resolution".

import type { FunctionUse } from '../sql/facts.ts'
import type { Catalog, SnapshotFunction } from './catalog.ts'
import {
  administrative,
  callableAsAttribute,
  maintaining,
  typeNames,
  writing,
} from './function-names.ts'
import { harmless } from './function-names-harmless.ts'
import type { FunctionClass } from './roles.ts'

/** The class of a function, `unknown` for user code, `column` for what is surely none of ours. */
export type FunctionKind = FunctionClass | 'unknown' | 'column'

const classes: ReadonlyMap<string, FunctionClass> = new Map([
  ...split(typeNames).map((name) => entry(name, 'harmless')),
  ...split(harmless).map((name) => entry(name, 'harmless')),
  ...split(writing).map((name) => entry(name, 'writing')),
  ...split(maintaining).map((name) => entry(name, 'maintaining')),
  ...split(administrative).map((name) => entry(name, 'administrative')),
  // What it does is a change of a setting, and is judged as one.
  entry('set_config', 'harmless'),
])

const attributes: ReadonlySet<string> = new Set(split(callableAsAttribute))
const samplingMethods: ReadonlySet<string> = new Set([
  'bernoulli',
  'system',
  'system_rows',
  'system_time',
])
/** Trigger functions of contrib/spi that make SQL of their arguments, unquoted. */
const sqlTriggers: ReadonlySet<string> = new Set(['check_foreign_key', 'check_primary_key'])

const types: ReadonlySet<string> = new Set([
  ...split(typeNames),
  ...split('integer int bigint smallint real decimal boolean character'),
])

/** The class of a call on a database of which `catalog` is known. */
export function classify(use: FunctionUse, catalog: Catalog): FunctionKind {
  const kind = classifyName(use, catalog)
  switch (kind) {
    case 'harmless':
      // A user's function of the same name can be the better match for the arguments.
      return captured(use, catalog) ? 'unknown' : 'harmless'
    case 'unknown': {
      const meanings = use.notation === 'call' ? catalog.functions(use) : []
      return meanings.length > 0 && !meanings.some(isVolatile) ? 'harmless' : 'unknown'
    }
    case 'column':
      return catalog.functions(use).some((f) => isVolatile(f) && takes(f, 1)) ? 'unknown' : 'column'
    default:
      return kind
  }
}

/** Whether a call can reach code that is not the server's own, volatile or not. */
export function isUserCode(use: FunctionUse, catalog: Catalog): boolean {
  if (use.notation === 'attribute') return catalog.functions(use).some((f) => takes(f, 1))
  return classifyName(use, catalog) === 'unknown' || captured(use, catalog)
}

function classifyName(use: FunctionUse, catalog: Catalog): FunctionKind {
  switch (use.notation) {
    case 'attribute':
      // Nearly always a column. The few names that are not plausible columns are calls.
      return attributes.has(use.name) ? (classes.get(use.name) ?? 'unknown') : 'column'
    case 'tablesample':
      return builtIn(use.schema) && samplingMethods.has(use.name) ? 'harmless' : 'unknown'
    case 'trigger':
      // Only a function that returns trigger can be named here, and it runs for others, later.
      return sqlTriggers.has(use.name) ? 'administrative' : 'unknown'
    case 'syntax':
      return (catalog.serverVersion ?? Infinity) >= (use.since ?? 0) ? 'harmless' : 'unknown'
    case 'call':
      return builtIn(use.schema) ? classifyBuiltIn(use) : classifyQualified(use)
  }
}

/** An extension's own function is what the lists mean by the name. */
function captured(use: FunctionUse, catalog: Catalog): boolean {
  if (use.notation !== 'call' || use.schema !== undefined) return false
  return catalog
    .functions(use)
    .some((f) => isVolatile(f) && f.extension === undefined && takes(f, use.arguments))
}

function isVolatile({ volatile }: SnapshotFunction): boolean {
  return volatile
}

function takes(f: SnapshotFunction, args: number | undefined): boolean {
  if (args === undefined) return true
  return args >= f.leastArguments && args <= (f.mostArguments ?? Infinity)
}

function classifyBuiltIn(use: FunctionUse): FunctionKind {
  switch (use.name) {
    case 'lo_open':
      // INV_READ and nothing else; the descriptor is what every later read needs.
      return use.constants[1] === '262144' ? 'harmless' : 'writing'
    case 'ts_rewrite':
      // With two arguments the second is a query to run.
      return use.arguments === 3 ? 'harmless' : 'administrative'
    case 'pg_input_is_valid':
    case 'pg_input_error_info':
      // The second argument names a type, and a domain's CHECK runs user code.
      return isBuiltInType(use.constants[1]) ? 'harmless' : 'unknown'
    default:
      // A name in the server's own style that this list does not have comes from a newer release.
      return classes.get(use.name) ?? (reserved(use) ? 'administrative' : 'unknown')
  }
}

// Extensions may be installed in any schema: a dangerous name stays dangerous there, a harmless one
// says nothing.
function classifyQualified(use: FunctionUse): FunctionKind {
  const qualified = classes.get(`${use.schema ?? ''}.${use.name}`)
  if (qualified !== undefined) return qualified
  if (use.name === 'set_config') return 'administrative'
  const elsewhere = classes.get(use.name) ?? 'harmless'
  return elsewhere === 'harmless' ? 'unknown' : elsewhere
}

function builtIn(schema: string | undefined): boolean {
  return schema === undefined || schema === 'pg_catalog' || schema === 'information_schema'
}

function reserved(use: FunctionUse): boolean {
  return use.schema !== undefined || use.name.startsWith('pg_')
}

function isBuiltInType(written: string | undefined): boolean {
  // No type's name is that long, and the expression below takes quadratic time.
  if (written === undefined || written.length > 128) return false
  const base = written
    .toLowerCase()
    .replace(/^pg_catalog\./, '')
    .replace(/\([\d, ]*\)|(\[\d*\])+$/g, '')
    .trim()
  return types.has(base) || /^(timestamp|time) with(out)? time zone$/.test(base)
}

function split(names: string): readonly string[] {
  return names.trim().split(/\s+/)
}

function entry(name: string, kind: FunctionClass): [string, FunctionClass] {
  return [name, kind]
}
