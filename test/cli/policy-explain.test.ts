import { describe, expect, it } from 'vitest'
import { renderExplanation } from '../../src/cli/policy-explain.ts'
import type { Style } from '../../src/cli/terminal.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { explain } from '../../src/policy/explanation.ts'
import { policy } from '../policy/predefined.ts'

const plain: Style = (_, text) => text

function explained(sql: string): string {
  return renderExplanation(explain(policy, 'read_only', sql, Catalog.unread()), plain)
}

describe('an explanation for people', () => {
  it('has the decision, what the client reads, and who may', () => {
    const text = explained('WITH d AS (DELETE FROM t) SELECT 1')
    for (const line of [
      'decision      deny\n',
      'rule          read_only/commands\n',
      'reason        DELETE in common table expression "d"\n',
      'permission denied for role read_only: DELETE (SQLSTATE 42501)\n',
      '--role read_limited_write',
      'allowed to    read_limited_write, read_full_write, admin\n',
      'command       DELETE (common table expression "d")\n',
      'writes        t\n',
    ]) {
      expect(text).toContain(line)
    }
  })

  it('names every function with its class, and leaves columns out', () => {
    const text = explained('SELECT t.a, lower(b), my_f(1), (x).pg_read_file FROM t')
    expect(text).toContain('calls         lower (harmless)\n')
    expect(text).toContain('calls         my_f (unknown)\n')
    expect(text).toContain('calls         pg_read_file (administrative, by attribute)\n')
    expect(text).not.toContain('calls         a ')
  })

  it('says who may execute what nobody prepared: who may run unseen code', () => {
    expect(explained('EXECUTE p')).toContain('allowed to    admin\n')
    expect(explained('SELEC')).toContain('allowed to    no role\n')
  })

  it('lets no control character of the statement reach the terminal', () => {
    expect(explained("SELECT '\u001b[2J'")).not.toContain('\u001b')
  })

  it('says allow of nothing at all', () => {
    expect(explained('')).toContain('tags          (no statement)\n')
  })
})
