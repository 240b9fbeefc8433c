// A role made ready to judge with: included roles folded in, classes and `*` spelled out as commands,
// every name checked. A definition that names what does not exist is refused when it is loaded, since a
// misspelt denial would be none.

import type { RelationRules } from '../access/access.ts'
import { Failure } from '../errors.ts'
import { commandClasses, commandsOfClass } from '../sql/commands.ts'
import { ceilingProblem } from './ceilings.ts'
import { relationPatternProblem } from './relations.ts'
import type { CatalogPower, FunctionClass, RoleDefinition, SessionLimits } from './roles.ts'
import { settingEntryProblem } from './settings.ts'

export interface Permissions {
  readonly role: string
  readonly commands: ReadonlySet<string>
  readonly functionClasses: ReadonlySet<FunctionClass>
  readonly userDefinedFunctions: boolean
  readonly allowedFunctions: ReadonlySet<string>
  readonly deniedFunctions: ReadonlySet<string>
  /** Groups, names and prefixes of settings. */
  readonly settings: ReadonlySet<string>
  readonly catalogs: ReadonlySet<CatalogPower>
  /** Each of them restricts. */
  readonly relations: readonly RelationRules[]
  /** Whether what a target calls sensitive is for it too. */
  readonly sensitive: boolean
  /** Settings that say who the session is: no statement may change them, whatever else is allowed. */
  readonly context: ReadonlySet<string>
  /** Upper limits of settings, by name. Where an included role has one too, both hold. */
  readonly ceilings: ReadonlyMap<string, readonly string[]>
  /** The shortest of each. */
  readonly sessions: SessionLimits
}

/** What each role may do, in ascending order of power. */
export type PermissionsByRole = ReadonlyMap<string, Permissions>

/** The permissions of every role, in the given order. Throws an invalid_configuration Failure. */
export function compileRoles(definitions: readonly RoleDefinition[]): PermissionsByRole {
  const byName = new Map(definitions.map((definition) => [definition.name, definition]))
  if (byName.size < definitions.length) throw invalid('two roles have the same name')
  return new Map(definitions.map((definition) => [definition.name, compile(definition, byName)]))
}

function compile(
  definition: RoleDefinition,
  byName: ReadonlyMap<string, RoleDefinition>,
): Permissions {
  const parts = withIncluded(definition, byName)
  const commands = parts.flatMap((part) => (part.commands ?? []).filter((c) => !c.startsWith('!')))
  const withheld = parts.flatMap((part) => (part.commands ?? []).filter((c) => c.startsWith('!')))
  const allowed = new Set(commands.flatMap((command) => spellOut(command, definition.name)))
  for (const entry of withheld) {
    for (const command of spellOut(entry.slice(1), definition.name)) allowed.delete(command)
  }
  return {
    role: definition.name,
    commands: allowed,
    functionClasses: new Set(parts.flatMap((part) => part.functions?.classes ?? [])),
    userDefinedFunctions: parts.some((part) => part.functions?.userDefined === true),
    allowedFunctions: new Set(parts.flatMap((part) => part.functions?.allow ?? [])),
    deniedFunctions: new Set(parts.flatMap((part) => part.functions?.deny ?? [])),
    settings: new Set(parts.flatMap(checkedSettings)),
    catalogs: new Set(parts.flatMap((part) => part.catalogs ?? [])),
    relations: parts.flatMap((part) => checkedRules(part)),
    sensitive: parts.some((part) => part.sensitive === true),
    context: new Set(),
    ceilings: ceilingsOf(parts),
    sessions: shortest(parts.flatMap(({ sessions = [] }) => sessions)),
  }
}

function checkedSettings({ name, settings = [] }: RoleDefinition): readonly string[] {
  for (const entry of settings) {
    const problem = settingEntryProblem(entry)
    if (problem !== undefined) throw invalid(`role ${name} names the setting ${entry}: ${problem}`)
  }
  return settings
}

function checkedRules({ name, relations }: RoleDefinition): readonly RelationRules[] {
  if (relations === undefined) return []
  const { deny = [], read = [], write = [] } = relations
  for (const pattern of [...deny, ...read, ...write]) {
    const problem = relationPatternProblem(pattern)
    if (problem !== undefined) throw invalid(`role ${name} has the relation rule ${problem}`)
  }
  return [relations]
}

function ceilingsOf(parts: readonly RoleDefinition[]): ReadonlyMap<string, readonly string[]> {
  const ceilings = new Map<string, string[]>()
  for (const { name, limits } of parts) {
    for (const [setting, value] of Object.entries(limits ?? {})) {
      const problem = ceilingProblem(setting, value)
      if (problem !== undefined) throw invalid(`role ${name}: ${problem}`)
      ceilings.set(setting, [...(ceilings.get(setting) ?? []), value])
    }
  }
  return ceilings
}

/** The definition and all that it includes, however deep, each once. */
function withIncluded(
  definition: RoleDefinition,
  byName: ReadonlyMap<string, RoleDefinition>,
): readonly RoleDefinition[] {
  const found = new Set([definition])
  for (const part of found) {
    for (const name of part.includes ?? []) {
      const included = byName.get(name)
      if (included === undefined) {
        throw invalid(`role ${part.name} includes ${name}, which is not defined`)
      }
      if (included === definition) throw invalid(`role ${definition.name} includes itself`)
      found.add(included)
    }
  }
  return [...found]
}

/** Of each limit the one that is reached first. */
export function shortest(all: readonly SessionLimits[]): SessionLimits {
  const least = (limits: readonly (number | undefined)[]): number | undefined => {
    const set = limits.filter((limit) => limit !== undefined)
    return set.length === 0 ? undefined : Math.min(...set)
  }
  return {
    idleMs: least(all.map(({ idleMs }) => idleMs)),
    idleInTransactionMs: least(all.map(({ idleInTransactionMs }) => idleInTransactionMs)),
    transactionMs: least(all.map(({ transactionMs }) => transactionMs)),
    sessionMs: least(all.map(({ sessionMs }) => sessionMs)),
  }
}

function spellOut(entry: string, role: string): readonly string[] {
  if (entry === '*') return [...commandClasses.keys()]
  if (commandClasses.has(entry)) return [entry]
  const ofClass = commandsOfClass(entry)
  if (ofClass.length > 0) return ofClass
  const similar = [...commandClasses.keys()].filter((command) => command.startsWith(`${entry} `))
  const advice = similar.length === 0 ? '' : `; perhaps one of ${similar.slice(0, 8).join(', ')}`
  throw invalid(`role ${role} names the command ${entry}, which does not exist${advice}`)
}

function invalid(message: string): Failure {
  return new Failure('invalid_configuration', { message })
}
