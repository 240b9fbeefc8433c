// The session context in a configuration: what may stand there, and what a target makes of what is general.

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

function config(general: string, own: string) {
  return parseConfig(
    `
store: { url: 'postgresql://localhost/store' }
journal: { directory: /tmp/journal }
sessionContext: ${general}
targets:
  shop:
    host: localhost
    database: shop
    sessionContext: ${own}
    credentials: { broker: { user: a, password: b, owned: drop, creation: { read_only: ['x'] } } }
`,
    'pgwarden.yaml',
    {},
  )
}

function complaint(general: string, own = '{}'): string {
  try {
    config(general, own)
    return 'none'
  } catch (error) {
    return error instanceof Failure ? `${error.message}\n${error.detail ?? ''}` : String(error)
  }
}

describe('a session context', () => {
  it('of a target adds to the general one and goes before it', () => {
    const { targets, access } = config(
      "{ app.uid: '{{claims.uid}}', app.role: '{{role}}' }",
      "{ app.role: 'a {{ role }} on {{target}}', app.org: '{{claims.org}}' }",
    )
    expect([...(targets.get('shop')?.sessionContext ?? [])]).toEqual([
      ['app.uid', [{ type: 'claim', name: 'uid' }]],
      [
        'app.role',
        [
          { type: 'text', text: 'a ' },
          { type: 'role' },
          { type: 'text', text: ' on ' },
          { type: 'target' },
        ],
      ],
      ['app.org', [{ type: 'claim', name: 'org' }]],
    ])
    expect(access.claims).toEqual(['uid', 'org'])
  })

  it.each([
    ["{ work_mem: 'x' }", 'expected a name with a dot'],
    ["{ App.uid: 'x' }", 'in lower case'],
    ["{ 'app.a b': 'x' }", 'expected a name with a dot'],
    ["{ app.uid: '' }", 'not empty'],
    ["{ app.uid: '{{user}}' }", 'unknown placeholder {{user}}'],
    ["{ app.uid: '{{claims.}}' }", 'unknown placeholder'],
    ['{ app.uid: 1 }', 'expected a text'],
  ])('%s is a mistake', (written, sentence) => {
    expect(complaint(written)).toContain(sentence)
    expect(complaint('{}', written)).toContain(sentence)
  })

  it('has at most 32 settings', () => {
    const settings = (count: number): string =>
      `{ ${Array.from({ length: count }, (_, n) => `app.s${n}: x`).join(', ')} }`
    expect(complaint(settings(32))).toBe('none')
    expect(complaint(settings(33))).toContain('at most 32 settings')
  })
})
