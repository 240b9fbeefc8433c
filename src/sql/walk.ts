// One walk over everything in a statement's parse tree, with a stack of its own, because the depth of
// the tree is the client's to choose. Every key is followed, whatever it is called: what is not
// recognised is still looked into, and a statement node that is not recognised makes it all opaque.
// Ignorant of roles and rules.

import { commandClasses } from './commands.ts'
import type { Action, CopyUse, FunctionUse, NameUse, RelationUse, SettingChange } from './facts.ts'
import { functionsOf, keyOf } from './functions.ts'
import { sequencesNamed } from './named-by-text.ts'
import { intrusions, relationsByName, writableThroughView } from './objects.ts'
import { operatorsOf, typeOf } from './operators.ts'
import { type Access, accessTo, isJoined, openScope, relationsOf, type Scope } from './relations.ts'
import {
  behindColumns,
  type Code,
  codeIn,
  makesColumns,
  type SecretPlace,
  secretParts,
  secretPlaces,
} from './secrets.ts'
import { settingFromCatalog, settingsOf } from './settings.ts'
import { commandsOf, copyOf, isStatement, selectCommands } from './statements.ts'
import { byKind, child, isNode, list, type Node, string } from './tree.ts'

/** What a walk has found so far. */
export interface Findings {
  readonly actions: Action[]
  readonly functions: Map<string, FunctionUse>
  readonly settings: SettingChange[]
  readonly relations: Map<string, RelationUse>
  readonly operators: Map<string, NameUse>
  readonly types: Map<string, NameUse>
  readonly copies: CopyUse[]
  readonly secrets: SecretPlace[]
  makesColumns: boolean
  code: Code | undefined
  executes: string | undefined
  opaque: string | undefined
}

interface Place {
  /** For people: what the node is inside of. */
  readonly where: string
  readonly scope: Scope | undefined
  /** What is done to the relation, should the node be one. */
  readonly access: Access
  /** True where a SELECT is a statement of its own rather than a sub-query. */
  readonly standing: boolean
  /** Constants are secrets here. */
  readonly secret: boolean
}

interface Visit extends Place {
  readonly value: unknown
  /** The node type; for a node without a wrapper the name of its field, which begins in lower case. */
  readonly kind: string | undefined
}

/** What has been seen of a node before its turn comes. */
interface Foreseen {
  /** Settings whose name stands elsewhere than in the call that sets them. */
  readonly constants: Map<Node, SettingChange>
  readonly secretParts: Set<unknown>
}

/** Statements whose `query` is another statement, run or prepared as it stands. */
const carriers: ReadonlySet<string> = new Set([
  'ExplainStmt',
  'PrepareStmt',
  'DeclareCursorStmt',
  'CopyStmt',
  'CreateTableAsStmt',
])

/** What to call the inside of a node. */
const insides = byKind<(node: Node) => string>({
  CommonTableExpr: (node) => `common table expression "${string(node, 'ctename') ?? ''}"`,
  SubLink: () => 'a sub-query',
  RangeSubselect: () => 'a sub-query',
  ExplainStmt: () => 'EXPLAIN',
  PrepareStmt: (node) => `prepared statement "${string(node, 'name') ?? ''}"`,
  DeclareCursorStmt: (node) => `cursor "${string(node, 'portalname') ?? ''}"`,
  CopyStmt: () => 'COPY',
  CreateTableAsStmt: () => 'CREATE TABLE AS',
  CreateSchemaStmt: () => 'CREATE SCHEMA',
  ViewStmt: () => 'CREATE VIEW',
  RuleStmt: (node) => `rule "${string(node, 'rulename') ?? ''}"`,
  CreateFunctionStmt: () => 'a function body',
})

export function walk(root: Node): Findings {
  const found: Findings = {
    actions: [],
    functions: new Map(),
    settings: [],
    relations: new Map(),
    operators: new Map(),
    types: new Map(),
    copies: [],
    secrets: [],
    makesColumns: false,
    code: undefined,
    executes: undefined,
    opaque: undefined,
  }
  const foreseen: Foreseen = { constants: new Map(), secretParts: new Set() }
  const top: Place = {
    where: 'top level',
    scope: undefined,
    access: 'read',
    standing: true,
    secret: false,
  }
  const stack: Visit[] = [{ ...top, value: root, kind: undefined }]
  for (let visit = stack.pop(); visit !== undefined; visit = stack.pop()) {
    const { value } = visit
    const place =
      !visit.secret && foreseen.secretParts.has(value) ? { ...visit, secret: true } : visit
    if (Array.isArray(value)) {
      for (const element of value.toReversed()) push(stack, element, undefined, place)
    } else if (isNode(value)) {
      const kind = kindByShape(value) ?? visit.kind
      if (kind !== undefined) note(found, foreseen, kind, value, place)
      pushChildren(stack, kind, value, place)
    }
  }
  if (found.makesColumns) found.secrets.push(...behindColumns(found.secrets))
  return found
}

// Fields of one static type come without a wrapper. Those that matter are known by a field that only
// they have and that is never left out, so that no list of such fields has to be complete.
function kindByShape(node: Node): string | undefined {
  if ('limitOption' in node) return 'SelectStmt'
  if ('funcformat' in node) return 'FuncCall'
  if ('relname' in node) return 'RangeVar'
  if ('names' in node && 'typemod' in node) return 'TypeName'
  if (string(node, 'kind')?.startsWith('VAR_') === true) return 'VariableSetStmt'
  return undefined
}

function note(
  found: Findings,
  { constants, secretParts: parts }: Foreseen,
  kind: string,
  node: Node,
  place: Place,
): void {
  if (isStatement(kind)) noteStatement(found, kind, node, place)
  if (kind === 'SelectStmt') {
    for (const [call, change] of settingFromCatalog(node)) constants.set(call, change)
  }
  if (kind === 'ExecuteStmt') noteExecute(found, string(node, 'name') ?? '')
  for (const use of functionsOf(kind, node)) found.functions.set(keyOf(use), use)
  for (const use of operatorsOf(kind, node)) noteName(found.operators, use)
  if (kind === 'TypeName') noteName(found.types, typeOf(node))
  if (kind === 'CopyStmt') found.copies.push(copyOf(node))
  const constant = constants.get(node)
  const by = found.actions[0]?.command ?? ''
  const changes = constant === undefined ? settingsOf(kind, node, by) : [constant]
  found.settings.push(...changes)
  for (const part of secretParts(kind, node, changes)) parts.add(part)
  found.secrets.push(...secretPlaces(kind, node, place.secret))
  found.makesColumns ||= makesColumns(kind)
  found.code ??= codeIn(kind, node)
  if (kind === 'RangeVar') {
    for (const use of relationsOf(node, place.access, place.scope)) noteRelation(found, use)
  }
  for (const relation of relationsByName(kind, node)) noteRelation(found, relation)
  if (kind === 'FuncCall') {
    for (const relation of sequencesNamed(node)) noteRelation(found, relation)
  }
  if (isStatement(kind)) {
    for (const relation of intrusions(kind, node)) noteRelation(found, relation)
  }
  noteRelation(found, writableThroughView(kind, node))
}

function noteStatement(found: Findings, kind: string, node: Node, place: Place): void {
  const select = kind === 'SelectStmt'
  const commands = select ? selectCommands(node) : commandsOf(kind, node)
  if (commands.length === 0 && !select) found.opaque ??= `unknown kind of statement (${kind})`
  const named = commands.length === 0 && select && place.standing ? ['SELECT'] : commands
  for (const command of named) {
    const classified = commandClasses.get(command)
    if (classified === undefined) found.opaque ??= `unknown command ${command}`
    const action: Action = { command, class: classified ?? 'DDL', where: place.where }
    const repeated = found.actions.some((a) => a.command === command && a.where === place.where)
    if (!repeated) found.actions.push(action)
  }
}

function noteExecute(found: Findings, name: string): void {
  if (found.executes !== undefined && found.executes !== name) {
    found.opaque ??= 'it executes more than one prepared statement'
  }
  found.executes = name
}

function noteName(names: Map<string, NameUse>, use: NameUse | undefined): void {
  if (use !== undefined) names.set(`${use.schema ?? ''}.${use.name}`, use)
}

function noteRelation(found: Findings, relation: RelationUse | undefined): void {
  if (relation === undefined) return
  found.relations.set(JSON.stringify([relation.schema, relation.name, relation.access]), relation)
}

function pushChildren(stack: Visit[], kind: string | undefined, node: Node, place: Place): void {
  const where = insides.get(kind ?? '')?.(node) ?? place.where
  const withClause = child(node, 'withClause')
  const scopes = withClause === undefined ? undefined : openScope(withClause, place.scope)
  const scope = scopes?.body ?? place.scope
  for (const [field, value] of Object.entries(node).reverse()) {
    if (/^[A-Z]/.test(field)) {
      // A wrapper: its content stands exactly where the wrapper stands.
      push(stack, value, field, place)
    } else if (field === 'withClause' && withClause !== undefined) {
      for (const [index, cte] of [...list(withClause, 'ctes').entries()].reverse()) {
        const inner = scopes?.queries[index]
        const { secret } = place
        push(stack, cte, undefined, {
          where,
          scope: inner,
          access: 'read',
          standing: false,
          secret,
        })
      }
    } else if (field !== 'lockedRels') {
      // (The relations of FOR UPDATE OF are aliases of ones that are named elsewhere.)
      const access = isJoined(kind, field) ? place.access : accessTo(kind, field, node)
      const standing = field === 'query' && carriers.has(kind ?? '')
      push(stack, value, field, { where, scope, access, standing, secret: place.secret })
    }
  }
}

function push(stack: Visit[], value: unknown, kind: string | undefined, place: Place): void {
  if (typeof value !== 'object' || value === null) return
  const { where, scope, access, standing, secret } = place
  stack.push({ value, kind, where, scope, access, standing, secret })
}
