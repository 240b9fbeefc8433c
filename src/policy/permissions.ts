// A role made ready to judge with: included roles folded in, classes and `*` spelled out as commands,
// every name checked. A definition that names what does not exist is refused when it is loaded, since a
// misspelt denial would be none.

import { Failure } from '../errors.ts'
import { commandClasses, commandsOfClass } from '../sql/commands.ts'
import type { CatalogPower, FunctionClass, RoleDefinition } from './roles.ts'

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
}

/** The permissions of every role, in the given order. Throws an invalid_configuration Failure. */
export function compileRoles(
  definitions: readonly RoleDefinition[],
): ReadonlyMap<string, Permissions> {
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
    settings: new Set(parts.flatMap((part) => part.settings ?? [])),
    catalogs: new Set(parts.flatMap((part) => part.catalogs ?? [])),
  }
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
