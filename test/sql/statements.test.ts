// The table of node types against the parser's own list of them: none may be missing.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { commandClasses } from '../../src/sql/commands.ts'
import { commandsOf, isStatement } from '../../src/sql/statements.ts'
import { walk } from '../../src/sql/walk.ts'

describe('node types', () => {
  const types = nodeTypes()

  it('are all known, those of every statement that the parser can return', () => {
    expect(types.length).toBeGreaterThan(110)
    const unknown = types.filter((type) => {
      const withVariants = [
        'AlterFunctionStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOwnerStmt AlterTableStmt',
        'AlterTableMoveAllStmt CommentStmt DefineStmt DiscardStmt DropStmt LockStmt ReindexStmt',
        'RenameStmt TransactionStmt SelectStmt',
      ].join(' ')
      if (withVariants.split(' ').includes(type)) return false
      const commands = commandsOf(type, {})
      return commands.length === 0 || commands.some((command) => !commandClasses.has(command))
    })
    expect(unknown).toEqual([])
  })

  it('that are not known make the statement opaque, however deep they are', () => {
    const later = { LaterReleaseStmt: {} }
    expect(walk(later).opaque).toContain('LaterReleaseStmt')
    expect(
      walk({ SelectStmt: { limitOption: 'x', targetList: [{ List: { items: [later] } }] } }).opaque,
    ).toContain('LaterReleaseStmt')
  })

  it('of a known statement in an unknown variant make it opaque', () => {
    expect(walk({ TransactionStmt: { kind: 'TRANS_STMT_LATER' } }).opaque).toBeDefined()
    expect(walk({ DropStmt: { removeType: 'OBJECT_LATER' } }).opaque).toBeDefined()
    expect(walk({ LockStmt: { mode: 9 } }).opaque).toBeDefined()
  })
})

function nodeTypes(): readonly string[] {
  const file = createRequire(import.meta.url).resolve('@pgsql/types/types.d.ts')
  const found = readFileSync(file, 'utf8').matchAll(/interface (\w+Stmt)\b/g)
  return [...found].map(([, type]) => type ?? '').filter(isStatement)
}
