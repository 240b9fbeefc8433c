// Which settings a role may change, and to what. An allow list: a setting that is in no group, also one
// of a future release, needs a role that has `*`. Values count where the value is the danger.
// Settings and their meaning: PostgreSQL documentation, chapter "Server Configuration".

import type { SettingChange } from '../sql/facts.ts'
import { settingName, unknownSetting } from '../sql/settings.ts'
import { settingNames } from './setting-names.ts'

type Condition = (change: SettingChange) => boolean

interface Group {
  readonly name: string
  /** Exact names, or a name with `*` at either end. */
  readonly settings: readonly string[]
  /** What the value must be; without one every value will do. */
  readonly only?: Condition
}

const readOnlySettings = split('transaction_read_only default_transaction_read_only')

const groups: readonly Group[] = [
  {
    name: 'harmless',
    settings: split(`application_name datestyle intervalstyle timezone extra_float_digits
      client_min_messages bytea_output xmlbinary xmloption seed quote_all_identifiers array_nulls
      lc_monetary lc_numeric lc_time default_text_search_config synchronize_seqscans
      check_function_bodies restrict_nonsystem_relation_kind row_security`),
  },
  {
    name: 'limits',
    settings: split(`statement_timeout lock_timeout idle_in_transaction_session_timeout
      idle_session_timeout transaction_timeout`),
  },
  {
    // Not jit_*: jit_dump_bitcode writes files.
    name: 'planner',
    settings: split(`enable_* *_cost geqo geqo_* *_collapse_limit jit jit_above_cost
      jit_inline_above_cost jit_optimize_above_cost jit_expressions jit_tuple_deforming
      plan_cache_mode cursor_tuple_fraction max_parallel_workers_per_gather work_mem
      hash_mem_multiplier effective_cache_size`),
  },
  {
    name: 'transaction',
    settings: split(`transaction_isolation default_transaction_isolation transaction_deferrable
      default_transaction_deferrable`),
  },
  {
    // Going back to the default is not setting it: the default may be read-write.
    name: 'transaction',
    settings: readOnlySettings,
    only: (change) => change.kind === 'set' && isOn(change),
  },
  { name: 'names', settings: ['search_path'], only: keepsNamesSafe },
  { name: 'read_write', settings: readOnlySettings },
  { name: 'durability', settings: ['synchronous_commit'] },
  {
    name: 'storage',
    settings: split(`default_tablespace temp_tablespaces default_table_access_method
      maintenance_work_mem vacuum_*`),
  },
]

/**
 * Settings that change how the server reads the text that was judged. Nobody may move them, whatever
 * the role: the next statement would be another one for the server than for pgwarden.
 */
const pins: ReadonlyMap<string, Condition> = new Map<string, Condition>([
  ['standard_conforming_strings', (change) => change.kind !== 'set' || isOn(change)],
  ['client_encoding', (change) => change.kind !== 'set' || isUtf8(change)],
  ['backslash_quote', () => false],
])

const groupNames: ReadonlySet<string> = new Set(groups.map((group) => group.name))
const known = split(settingNames.trim())

/** Why an entry of a role can never stand for a setting; undefined when it can. */
export function settingEntryProblem(entry: string): string | undefined {
  const name = settingName(entry)
  if (name !== entry) return `names of settings are compared as ${name}; write it so`
  if (/\*.+\*|[^*]\*+[^*]/.test(entry)) return 'a pattern has one *, at its beginning or its end'
  // Behind a dot an extension's settings begin, or somebody's own.
  if (groupNames.has(entry) || entry.includes('.')) return undefined
  if (known.some((setting) => matches(entry, setting))) return undefined
  return `there is no such setting, nor a group of this name (${[...groupNames].join(', ')})`
}

/** Whether the change would make the server read text in another way: forbidden to every role. */
export function breaksReading(change: SettingChange): boolean {
  const pin = pins.get(change.name)
  return pin !== undefined && !pin(change)
}

/** Who the session is to the database decides which rows it sees as much as the context does. */
const identity: ReadonlySet<string> = new Set(['role', 'session_authorization'])

/**
 * Whether the change could reach one of the context's settings: a name that is computed could be any. To
 * go back to where all began (`*`) is to go back to the context.
 */
export function changesContext(change: SettingChange, context: ReadonlySet<string>): boolean {
  if (context.size === 0) return false
  return change.name === unknownSetting || context.has(change.name) || identity.has(change.name)
}

/** Whether a role with these entries (groups, names, prefixes, `*`) may make the change. */
export function allowsSetting(entries: ReadonlySet<string>, change: SettingChange): boolean {
  if (entries.has('*') || change.name === '*') return true
  if (pins.has(change.name)) return true
  for (const group of groups) {
    if (!entries.has(group.name)) continue
    const named = group.settings.some((pattern) => matches(pattern, change.name))
    if (named && (group.only === undefined || group.only(change))) return true
  }
  for (const entry of entries) {
    if (!groupNames.has(entry) && matches(entry, change.name)) return true
  }
  return false
}

function matches(pattern: string, name: string): boolean {
  if (pattern.endsWith('*')) return name.startsWith(pattern.slice(0, -1))
  return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern
}

// The server takes any unambiguous beginning of true, yes, on, in any case.
function isOn(change: SettingChange): boolean {
  const [value, ...rest] = change.values ?? []
  return value !== undefined && rest.length === 0 && /^(on|1|t|tr|tru|true|y|ye|yes)$/i.test(value)
}

// The server compares names of encodings without case and punctuation.
function isUtf8(change: SettingChange): boolean {
  const [value, ...rest] = change.values ?? []
  if (value === undefined || rest.length > 0) return false
  return /^(utf8|unicode)$/.test(value.toLowerCase().replace(/[^a-z0-9]/g, ''))
}

/**
 * Where names are looked up decides what they mean. pg_temp in the path lets temporary objects stand in
 * for others; pg_catalog behind another schema lets that schema's functions stand in for the server's;
 * information_schema gives the server's views and tables names that cannot be told from a user's.
 */
function keepsNamesSafe(change: SettingChange): boolean {
  if (change.values === undefined) return false
  const path = change.values
    .flatMap((value) => value.split(','))
    // Spaces and quotes go wherever they stand: a trimming expression would take quadratic time.
    .map((schema) => schema.replace(/[\s"']/g, '').toLowerCase())
  return path.every((schema, index) => {
    if (schema === 'pg_catalog') return index === 0
    return !/^(pg_temp|pg_toast|information_schema$)/.test(schema)
  })
}

function split(names: string): readonly string[] {
  return names.split(/\s+/)
}
