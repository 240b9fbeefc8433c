// What is another in a configuration, which of it takes effect while pgwarden runs, and that no secret shows.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Config, parseConfig } from '../../src/config/config.ts'
import { inForce, isReloaded, reloadable, reloadedSettings } from '../../src/config/reloading.ts'
import { same } from '../../src/config/same.ts'
import { smallConfig } from '../support/small-config.ts'

function read(lines: string, change: (text: string) => string = (text) => text): Config {
  return parseConfig(change(smallConfig(lines)), 'pgwarden.yaml', {})
}

function changesBetween(one: Config, other: Config) {
  return reloadable(one.settings, one.settings, other.settings)
}

describe('a setting that has changed', () => {
  it('is told as the file has it, not as it is kept', () => {
    const before = read(
      'limits: { idleTimeout: 5m }\naccess: { approvers: { manager: [m], ciso: [c], dba: [d] }, administrators: [ops] }',
    )
    const after = read(
      'limits: { statementBytes: 64KiB }\naccess: { approvers: { manager: [m], ciso: [c], dba: [d] }, administrators: [ops, sre] }',
    )
    expect(changesBetween(before, after).changes).toEqual([
      { path: 'access.administrators', from: '["ops"]', to: '["ops","sre"]' },
      { path: 'limits.idleTimeout', from: '5m', to: undefined },
      { path: 'limits.statementBytes', from: undefined, to: '64KiB' },
    ])
  })

  it('is none where another text means the same', () => {
    const before = read('limits: { idleTimeout: 300s }')
    const after = read('# now in minutes\nlimits:\n  idleTimeout: 5m\n')
    expect(changesBetween(before, after)).toEqual({ changes: [], restart: [] })
  })

  it('is found behind aliases, and in a template', () => {
    const after = read('', (text) =>
      text.replace('host: db', "host: db\n    applicationName: '{{role}}'"),
    )
    expect(changesBetween(read(''), after).changes).toEqual([
      { path: 'targets.shop.applicationName', from: undefined, to: '{{role}}' },
    ])
  })

  it('is cut where it is long', () => {
    const after = read(
      `access: { approvers: { manager: [m], ciso: [c], dba: [d] }, administrators: [${'a'.repeat(5_000)}] }`,
    )
    const { changes } = changesBetween(read(''), after)
    expect(changes.find(({ path }) => path === 'access.administrators')?.to).toHaveLength(203)
  })
})

describe('a secret', () => {
  const hidden = 'hunter2'
  const changed = (text: string): string => text.replace('password: hidden', `password: ${hidden}`)

  it('that has changed is told without what it was or is', () => {
    const { changes } = changesBetween(read(''), read('', changed))
    expect(changes).toEqual([
      {
        path: 'targets.shop.credentials.broker.password',
        from: '[redacted]',
        to: '[redacted]',
      },
    ])
  })

  it('does not show in a list of which it is a part, when that comes or goes', () => {
    const webhook = (secret: string) =>
      `notifications: [{ webhook: { url: 'https://siem.example/', secret: ${secret} } }]`
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
    for (const [one, other] of [
      [read(''), read(webhook(secret))],
      [read(webhook(secret)), read('notifications: []')],
    ] as const) {
      const told = JSON.stringify(changesBetween(one, other))
      expect(told).toContain('notifications')
      expect(told).not.toContain(secret)
    }
  })

  it('in a file is another when the file is, though the configuration says the same', () => {
    const text = smallConfig('').replace('password: hidden', 'password: { env: P }')
    const [one, other] = ['first', 'second'].map((P) => parseConfig(text, 'f', { P }))
    if (one === undefined || other === undefined) throw new Error('there are two')
    expect(changesBetween(one, other).changes).toHaveLength(1)
    expect(same(one.targets.get('shop'), other.targets.get('shop'))).toBe(false)
  })
})

describe('a reload', () => {
  const sections: readonly (readonly [string, string])[] = [
    [
      'access',
      'access: { approvers: { manager: [m], ciso: [c], dba: [d] }, administrators: [ops] }',
    ],
    ['audit.statements', 'audit: { statements: { text: normalized } }'],
    ['audit.roles', 'audit: { roles: { admin: { fsync: batch } } }'],
    ['audit.sinks', 'audit: { sinks: [{ stdout: {} }] }'],
    ['http', 'http: { port: 9999 }'],
    ['limits', 'limits: { statementBytes: 2KiB }'],
    ['listen', 'listen: { port: 9999 }'],
    ['log.level', 'log: { level: debug }'],
    ['logins', 'logins: { failures: 3 }'],
    ['notifications', "notifications: [{ slack: { url: 'https://hooks.slack.com/x' } }]"],
    ['roles', 'roles: { clerk: { includes: [read_only] } }'],
    ['sessionContext', "sessionContext: { app.who: '{{principal}}' }"],
    ['tokens', 'tokens: { sittingLogins: 3 }'],
    ['workers', 'workers: 2'],
  ]

  it.each(sections)(
    'puts %s into force where the list says so, and else says that it waits',
    (path, lines) => {
      const [before, wanted] = [read(''), read(lines)]
      const { changes, restart } = changesBetween(before, wanted)
      const told = isReloaded(path) ? changes.map((change) => change.path) : restart
      expect(told.every((each) => each === path || each.startsWith(`${path}.`))).toBe(true)
      expect(told.length).toBeGreaterThan(0)
      expect(changes.length > 0).toBe(isReloaded(path))
      const comparable = ({ settings, sha256, source, audit, ...config }: Config) => ({
        ...config,
        audit: { ...audit, recording: ['read_only', 'admin'].map(audit.recording) },
      })
      const now = comparable(inForce(before, wanted))
      expect(same(now, comparable(isReloaded(path) ? wanted : before))).toBe(true)
    },
  )

  it('takes effect for what docs/operations.md and the example say', () => {
    const named = reloadedSettings.map((each) => `\`${each}\``).join(' ')
    const page = new URL('../../docs/operations.md', import.meta.url)
    expect(readFileSync(page, 'utf8')).toContain(`| ${named} |`)
    const example = new URL('../../config/pgwarden.example.yaml', import.meta.url)
    const sentence = readFileSync(example, 'utf8').replaceAll(/\n# /g, ' ')
    const listed = `${reloadedSettings.slice(0, -1).join(', ')} and ${reloadedSettings.at(-1)}`
    expect(sentence).toContain(`Reloaded are ${listed};`)
  })
})
