import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig, parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const example = 'config/pgwarden.example.yaml'
const env = { PGWARDEN_STORE_URL: 'postgres://a:b@c/d', PGWARDEN_SHOP_BROKER_PASSWORD: 'hidden' }

const minimal = `store:
  url: postgres://pgwarden:hidden@db/pgwarden
journal:
  directory: journal
targets:
  shop:
    host: db
    database: shop
    credentials:
      broker:
        user: broker
        password: hidden
        owned: drop
        creation:
          read_only: [GRANT reader TO {{name}}]
`.replace(/\[(GRANT.*)\]/, "['$1']")

const severalTargets = `${minimal
  .replace('shop:\n', 'shop: &shop\n')
  .replace(
    'database: shop\n',
    'database: shop\n    aliases: [store]\n    serverNames: [shop.db.example]\n',
  )}  hr:
    <<: *shop
    database: people
    aliases: [people]
    serverNames: []
`

/** The lines of what is said about a text; empty when there is nothing to say. */
function complaints(text: string): string[] {
  try {
    parseConfig(text, 'pgwarden.yaml', env)
    return []
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    expect(error.code).toBe('invalid_configuration')
    return (error.detail ?? error.message).split('\n')
  }
}

/** The minimal configuration with one line changed. */
function changed(from: string | RegExp, to: string): string {
  const text = minimal.replace(from, to)
  expect(text).not.toBe(minimal)
  return text
}

describe('a configuration', () => {
  it('is the example file', () => {
    const config = parseConfig(readFileSync(example, 'utf8'), example, env)
    expect(config.targets.get('shop')?.credentials).toMatchObject({
      type: 'broker',
      broker: { owned: { reassignTo: 'shop_owner' } },
    })
    expect(config.targets.get('orders')?.credentials).toMatchObject({
      type: 'vault',
      vault: { share: 'grant', unusedTimeoutMs: undefined },
      monitor: { login: { engine: 'static', mount: 'database', role: 'orders-monitor' } },
    })
    expect(config.roles.map(({ name }) => name)).toEqual([
      'read_only',
      'read_limited_write',
      'read_full_write',
      'admin',
      'no_delete',
    ])
  })

  it('shows in the example the defaults that a minimal one has', () => {
    const { listen, http, log, limits, tokens, journal, audit } = parseConfig(
      readFileSync(example, 'utf8'),
      example,
      env,
    )
    const defaults = parseConfig(minimal, example, env)
    const shop = defaults.targets.get('shop')
    expect(audit.recording('read_only')).toEqual(defaults.audit.recording('read_only'))
    expect({ listen, http, log, limits, tokens, journal }).toEqual({
      listen: defaults.listen,
      http: defaults.http,
      log: defaults.log,
      limits: defaults.limits,
      tokens: defaults.tokens,
      journal: defaults.journal,
    })
    expect(shop).toMatchObject({ name: 'shop', connectTimeoutMs: 8_000 })
    const shown = parseConfig(readFileSync(example, 'utf8'), example, env).targets.get('shop')
    expect(shown).toEqual({
      ...shop,
      servers: [{ ...shop?.servers[0], host: 'db.internal' }],
      credentials: shown?.credentials,
      sensitive: shown?.sensitive,
      sessionContext: shown?.sessionContext,
    })
  })

  it('has durations in milliseconds and sizes in bytes', () => {
    const config = parseConfig(
      `${minimal}tokens: { redeemWithin: 1h30m }\nlimits: { statementBytes: 64KiB }\n`,
      'pgwarden.yaml',
      env,
    )
    expect(config.tokens.redeemWithinMs).toBe(5_400_000)
    expect(config.limits.statementBytes).toBe(65_536)
  })

  it('limits the time of sessions for all targets, or for one, or not at all', () => {
    const limitsOf = (text: string): unknown =>
      parseConfig(text, 'pgwarden.yaml', env).targets.get('shop')?.limits
    expect(limitsOf(minimal)).toEqual({
      idleMs: undefined,
      idleInTransactionMs: undefined,
      transactionMs: undefined,
      sessionMs: undefined,
    })
    const own = 'host: db\n    limits: { idleTimeout: off, transactionTimeout: 1h }\n'
    const general = 'limits: { idleTimeout: 30m, idleInTransactionTimeout: 5m }\n'
    expect(limitsOf(general + minimal)).toMatchObject({ idleMs: 1_800_000 })
    expect(limitsOf(general + changed('host: db\n', own))).toEqual({
      idleMs: undefined,
      idleInTransactionMs: 300_000,
      transactionMs: 3_600_000,
      sessionMs: undefined,
    })
  })

  it('limits connections, sessions and logins where it says so', () => {
    const counts =
      'limits: { sessionsPerPrincipal: 20, sessionsPerGrant: 5, loginsPerSecond: 10 }\n'
    const listen = 'listen: { maxConnectionsPerAddress: 50 }\n'
    const limited = parseConfig(counts + listen + minimal, 'pgwarden.yaml', env)
    expect(limited.limits).toMatchObject({
      sessionsPerPrincipal: 20,
      sessionsPerGrant: 5,
      loginsPerSecond: 10,
    })
    expect(limited.listen[0].maxConnectionsPerAddress).toBe(50)
    const { limits, listen: open } = parseConfig(minimal, 'pgwarden.yaml', env)
    expect(limits).toMatchObject({ sessionsPerGrant: undefined, loginsPerSecond: undefined })
    expect(open[0].maxConnectionsPerAddress).toBeUndefined()
    expect(complaints(`limits: { loginsPerSecond: 0 }\n${minimal}`)[0]).toContain(
      'expected off or a number between 1 and 1000',
    )
  })

  it('believes the load balancers that it names, and never everybody', () => {
    const from = (networks: string): string =>
      `listen: { proxyProtocol: { from: ${networks} } }\n${minimal}`
    const named = parseConfig(from("[10.0.0.0/28, '2001:db8::5']"), 'pgwarden.yaml', env)
    expect(named.listen[0].proxyProtocolFrom).toEqual(['10.0.0.0/28', '2001:db8::5'])
    expect(parseConfig(minimal, 'pgwarden.yaml', env).listen[0].proxyProtocolFrom).toEqual([])
    expect(complaints(from('[0.0.0.0/0]'))[0]).toContain('list the load balancers')
    expect(complaints(from("['::/0']"))[0]).toContain('list the load balancers')
    expect(complaints(from('[]'))[0]).toContain('expected at least one network')
    expect(complaints(from('[haproxy]'))[0]).toContain('expected a network')
  })

  it('takes what a role may set, touch and use up at most', () => {
    const role = `roles:
  robot:
    settings: [harmless, statement_timeout, enable_*, '*_cost', app.tenant, pg_stat_statements.*]
    relations: { deny: ['*.salaries'], read: [shop.*], write: [shop.orders] }
    limits: { statement_timeout: 30s }
`
    expect(parseConfig(role + minimal, 'pgwarden.yaml', env).roles.at(-1)).toMatchObject({
      relations: { deny: ['*.salaries'], read: ['shop.*'], write: ['shop.orders'] },
      limits: { statement_timeout: '30s' },
    })
  })

  it('reads the catalog of a target every few minutes, or not at all', () => {
    const target = parseConfig(
      changed('host: db\n', 'host: db\n    catalog: { snapshot: false, refreshEvery: 1h }\n'),
      'pgwarden.yaml',
      env,
    ).targets.get('shop')
    expect(target?.catalog).toEqual({ snapshot: false, refreshEveryMs: 3_600_000 })
  })

  it('asks clients for a proof, or where it says so for a password', () => {
    const read = (text: string) => parseConfig(text, 'pgwarden.yaml', env).listen[0].authentication
    expect(read(minimal)).toBe('scram-sha-256')
    expect(read(`listen: { authentication: password }\n${minimal}`)).toBe('password')
  })

  it('needs few lines for another database of a server', () => {
    const { targets } = parseConfig(severalTargets, 'pgwarden.yaml', env)
    expect(targets.get('hr')).toEqual({
      ...targets.get('shop'),
      name: 'hr',
      database: 'people',
      aliases: ['people'],
      serverNames: [],
    })
    expect(targets.get('shop')).toMatchObject({
      aliases: ['store'],
      serverNames: ['shop.db.example'],
    })
  })

  it('takes the application name of its sessions apart, and leaves an empty one to the client', () => {
    const read = (text: string) =>
      parseConfig(text, 'pgwarden.yaml', env).targets.get('shop')?.applicationName
    expect(read(minimal)).toEqual([
      { type: 'text', text: 'pgwarden ' },
      { type: 'principal' },
      { type: 'text', text: ' ' },
      { type: 'grant' },
      { type: 'text', text: ' ' },
      { type: 'application' },
    ])
    const named = (name: string) =>
      changed('    host: db\n', `    host: db\n    applicationName: '${name}'\n`)
    expect(read(named('shop of {{ role }}'))).toEqual([
      { type: 'text', text: 'shop of ' },
      { type: 'role' },
    ])
    expect(read(named(''))).toEqual([])
  })

  it.each([
    [
      '{{user}}',
      'unknown placeholder {{user}}; there are {{principal}}, {{grant}}, {{role}}, {{application}}',
    ],
    [
      'wärter {{grant}}',
      'expected printable ASCII: PostgreSQL shows nothing else in an application name',
    ],
    [
      `${'x'.repeat(48)}{{grant}}`,
      'leaves no room: PostgreSQL keeps 63 bytes, and {{grant}} takes 16',
    ],
  ])('refuses the application name %s', (name, complaint) => {
    const text = changed('    host: db\n', `    host: db\n    applicationName: '${name}'\n`)
    expect(complaints(text)).toEqual([
      `pgwarden.yaml:8:22: targets.shop.applicationName: ${complaint}`,
    ])
  })

  it('is found relative to its own directory', () => {
    const config = parseConfig(
      `${minimal}listen: { tls: { certificate: tls/a.crt, key: /etc/a.key } }\n`,
      '/etc/pgwarden/pgwarden.yaml',
      env,
    )
    expect(config.journal.directory).toBe('/etc/pgwarden/journal')
    expect(config.listen[0].tls).toEqual({
      certificate: '/etc/pgwarden/tls/a.crt',
      key: '/etc/a.key',
    })
  })

  it('has one listener, or several, each with rules of its own', () => {
    const [inside, outside] = parseConfig(
      `${minimal}listen:
  - {}
  - address: 0.0.0.0
    port: 6433
    tls: { certificate: a, key: b, clientCa: ca.crt }
    requireTls: true
`,
      '/etc/pgwarden.yaml',
      env,
    ).listen
    expect(inside).toEqual(parseConfig(minimal, 'pgwarden.yaml', env).listen[0])
    expect(inside.allowPlaintextFrom).toEqual(['127.0.0.0/8', '::1/128'])
    expect(outside).toMatchObject({ port: 6433, tls: { clientCa: '/etc/ca.crt' } })
    expect(outside?.allowPlaintextFrom).toEqual([])
  })

  it('has no target that nobody wrote', () => {
    expect(parseConfig(minimal, 'pgwarden.yaml', env).targets.get('constructor')).toBeUndefined()
  })
})

describe('a secret', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pgwarden-config-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  it('is never printed', () => {
    const config = parseConfig(minimal, 'pgwarden.yaml', env)
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('hidden')
  })

  it('comes from the environment or from a file beside the configuration', async () => {
    writeFileSync(join(directory, 'password'), 'from the file\n')
    const text = minimal.replace('password: hidden', 'password: { file: password }')
    const path = join(directory, 'pgwarden.yaml')
    writeFileSync(path, text)
    const credentials = (await loadConfig(path)).targets.get('shop')?.credentials
    if (credentials?.type !== 'broker') throw new Error('no broker')
    expect(credentials.broker.password.reveal()).toBe('from the file')

    const store = changed('postgres://pgwarden:hidden@db/pgwarden', '{ env: PGWARDEN_STORE_URL }')
    expect(parseConfig(store, 'pgwarden.yaml', env).store.url.reveal()).toBe('postgres://a:b@c/d')
  })

  it('from a file is the same to a process that is started when the file is gone', async () => {
    const text = minimal.replace('password: hidden', 'password: { file: password }')
    const path = join(directory, 'pgwarden.yaml')
    writeFileSync(path, text)
    writeFileSync(join(directory, 'password'), 'from the file\n')
    const before = await loadConfig(path)
    rmSync(join(directory, 'password'))
    const files = new Map([...before.source.files].map(([name, found]) => [name, found.reveal()]))
    const after = parseConfig(text, path, {}, files)
    expect(after.settings.differencesFrom(before.settings)).toEqual([])
    expect(() => parseConfig(text, path, {})).toThrow('cannot be read')
  })

  it.each([
    ['{ env: NOWHERE }', 'the environment variable NOWHERE is not set'],
    ['{ file: nowhere }', 'the file nowhere cannot be read (ENOENT)'],
    ["''", 'the secret is empty'],
    ['{ vault: x }', 'expected a secret: a text, { env: NAME } or { file: PATH }'],
  ])('that is %s is refused', (value, sentence) => {
    expect(complaints(changed('password: hidden', `password: ${value}`))).toEqual([
      `pgwarden.yaml:12:19: targets.shop.credentials.broker.password: ${sentence}`,
    ])
  })
})

describe('a mistake in a configuration is named with file, line, column and path', () => {
  const creation = 'targets.shop.credentials.broker.creation'

  it.each([
    [
      'host: db\n',
      'host: db\n    port: 70000\n',
      '8:11: targets.shop.port: expected a number between 1 and 65535',
    ],
    [
      'host: db\n',
      "host: db\n    port: '5432'\n",
      '8:11: targets.shop.port: expected a number between 1 and 65535',
    ],
    ['host: db\n', 'hots: db\n    host: db\n', '7:5: targets.shop.hots: unknown key'],
    [
      '    host: db\n',
      '',
      '6:3: targets.shop.host: missing: expected a host, or hosts with a list of them',
    ],
    [
      'host: db\n',
      'host: db\n    connectTimeout: 5\n',
      '8:21: targets.shop.connectTimeout: expected a duration from 1s to 1m, like 1s',
    ],
    [
      'host: db\n',
      'host: db\n    connectTimeout: 2d\n',
      '8:21: targets.shop.connectTimeout: expected a duration from 1s to 1m, like 1s',
    ],
    [
      'host: db\n',
      'host: db\n    limits: { idleTimeout: never }\n',
      '8:28: targets.shop.limits.idleTimeout: expected off or a duration from 1s to 30d, like 1s',
    ],
    [
      'owned: drop',
      'owned: keep',
      '13:16: targets.shop.credentials.broker.owned: expected drop or { reassignTo: ROLE }',
    ],
    ['  shop:', '  sh op:', '6:3: targets.sh op: expected a name of letters, digits, and _ . -'],
    ['read_only:', 'readonly:', `15:11: ${creation}.readonly: there is no such role`],
    [
      '{{name}}',
      '{{role}}',
      `15:23: ${creation}.read_only.0: unknown placeholder {{role}}; there are {{name}} and {{expiration}}`,
    ],
    [
      '{{name}}',
      '"{{name}}"',
      `15:23: ${creation}.read_only.0: "{{name}}" is quoted already; write it without quotes`,
    ],
    [
      /read_only: .*/,
      'read_only: []',
      `15:22: ${creation}.read_only: expected at least one statement`,
    ],
    [/targets:[\s\S]*/, 'targets: {}\n', '5:10: targets: expected at least one target'],
    [/targets:[\s\S]*/, 'targets: none\n', '5:10: targets: expected a mapping'],
    [
      /^/,
      'listen: { allowPlaintextFrom: [10.0.0.0/33] }\n',
      '1:32: listen.allowPlaintextFrom.0: expected a network like 192.0.2.0/24 or ::1/128',
    ],
    [
      /^/,
      'listen: { allowPlaintextFrom: ["::ffff:10.0.0.0/8"] }\n',
      '1:32: listen.allowPlaintextFrom.0: expected a network like 192.0.2.0/24 or ::1/128',
    ],
    [
      /^/,
      'listen:\n  - { port: 6432 }\n  - { port: 0 }\n',
      '3:13: listen.1.port: expected a number between 1 and 65535',
    ],
    [/^/, 'listen:\n  - { prot: 6432 }\n', '2:7: listen.0.prot: unknown key'],
    [/^/, 'listen: { prot: 6432 }\n', '1:11: listen.prot: unknown key'],
    [/^/, 'listen: []\n', '1:9: listen: expected at least one'],
    [/^/, 'listen: everywhere\n', '1:9: listen: expected a mapping'],
    [
      /^/,
      'listen: [{ port: 6432 }, { port: 6433 }, { port: 6432 }]\n',
      '1:50: listen.2.port: another listener has the same address and port',
    ],
    [
      /^/,
      'listen: { requireTls: true }\n',
      '1:23: listen.requireTls: needs a certificate: write tls as well',
    ],
    [
      /^/,
      'listen: { tls: { certificate: a, key: b }, requireTls: true, allowPlaintextFrom: [::1] }\n',
      '1:82: listen.allowPlaintextFrom: contradicts requireTls: leave one of them out',
    ],
    [
      'host: db\n',
      'host: db\n    clientCertificate: required\n',
      '8:24: targets.shop.clientCertificate: no listener asks clients for certificates: give one a tls.clientCa',
    ],
    [/^/, 'http: { port: 6432 }\n', '1:15: http.port: the same address and port as listen'],
    [
      /^/,
      'roles:\n  admin: { commands: [SELECT] }\n',
      '2:3: roles.admin: this role is predefined; give yours another name',
    ],
  ])('%j -> %j', (from, to, expected) => {
    expect(complaints(changed(from, to))).toEqual([`pgwarden.yaml:${expected}`])
  })

  it.each([
    [
      'aliases: [people]',
      'aliases: [staff, store]',
      '21:22: targets.hr.aliases.1: "store" leads to target shop already',
    ],
    [
      'aliases: [people]',
      'aliases: [shop]',
      '21:15: targets.hr.aliases.0: "shop" leads to target shop already',
    ],
    [
      'aliases: [people]',
      'aliases: [hr]',
      '21:15: targets.hr.aliases.0: "hr" leads to target hr already',
    ],
    [
      'aliases: [people]',
      'aliases: [a, a]',
      '21:18: targets.hr.aliases.1: "a" leads to target hr already',
    ],
    [
      'aliases: [people]',
      'aliases: [a b]',
      '21:15: targets.hr.aliases.0: expected a name of letters, digits, and _ . -',
    ],
    // Merged in, so the line is where it is written.
    [
      '    aliases: [people]\n',
      '',
      '9:15: targets.hr.aliases.0: "store" leads to target shop already',
    ],
    [
      'serverNames: []',
      'serverNames: [shop.db.example]',
      '22:19: targets.hr.serverNames.0: "shop.db.example" leads to target shop already',
    ],
    [
      'serverNames: []',
      'serverNames: [HR.example]',
      '22:19: targets.hr.serverNames.0: expected a host name in lower case, like shop.db.example',
    ],
    [
      'serverNames: []',
      'serverNames: ["hr.example."]',
      '22:19: targets.hr.serverNames.0: expected a host name in lower case, like shop.db.example',
    ],
  ])('%j -> %j', (from, to, expected) => {
    const text = severalTargets.replace(from, to)
    expect(text).not.toBe(severalTargets)
    expect(complaints(text)).toEqual([`pgwarden.yaml:${expected}`])
  })

  it('once for each target that it is merged into, where it stands', () => {
    const text = severalTargets.replace('host: db\n', 'host: db\n    port: 0\n')
    const said = 'expected a number between 1 and 65535'
    expect(complaints(text)).toEqual([
      `pgwarden.yaml:8:11: targets.shop.port: ${said}`,
      `pgwarden.yaml:8:11: targets.hr.port: ${said}`,
    ])
    expect(complaints(severalTargets.replace('    host: db\n', ''))).toEqual([
      expect.stringMatching(/^pgwarden\.yaml:6:3: targets\.shop\.host: missing: /),
      expect.stringMatching(/^pgwarden\.yaml:17:3: targets\.hr\.host: missing: /),
    ])
  })

  it('and so is a mapping that is merged into itself, or none that is merged', () => {
    expect(complaints('targets: &t\n  <<: *t\n')).toHaveLength(1)
    expect(complaints('targets:\n  <<: 5\n')).toHaveLength(1)
  })

  it('and so is a role that allows what does not exist', () => {
    const [said] = complaints(changed(/^/, 'roles:\n  robot: { commands: [SELEKT] }\n'))
    expect(said).toMatch(/^pgwarden\.yaml:2:3: roles\.robot: .*SELEKT/)
  })

  it.each([
    ['settings: [statement_timout]', 'the setting statement_timout: there is no such setting'],
    ['settings: [enabel_*]', 'the setting enabel_*: there is no such setting'],
    ['settings: [DateStyle]', 'the setting DateStyle: names of settings are compared as datestyle'],
    ['settings: [st*_timeout]', 'the setting st*_timeout: a pattern has one *'],
    ['relations: { deny: [salaries] }', 'the relation rule salaries; write schema.name'],
    ['limits: { work_mem: lots }', 'the limit of work_mem must be a number of at least one'],
    ['limits: { max_connections: 1MB }', 'max_connections cannot have a limit'],
  ])('and so is a role with %s', (line, sentence) => {
    const [said, ...more] = complaints(changed(/^/, `roles:\n  robot: { ${line} }\n`))
    expect(said).toMatch(/^pgwarden\.yaml:2:3: roles\.robot: /)
    expect(said).toContain(sentence)
    expect(more).toEqual([])
  })

  it('and so is broken YAML', () => {
    expect(complaints('listen: {\n')[0]).toMatch(/^pgwarden\.yaml:2:1: /)
    expect(complaints('store: {}\nstore: {}\n')[0]).toMatch(/^pgwarden\.yaml:2:1: .*unique/)
    expect(complaints('')[0]).toMatch(/^pgwarden\.yaml:1:1: expected a mapping/)
  })

  it.each([
    // Each begins as something else than a text does in YAML.
    ['*hunter2', '12:19: Unresolved alias (the anchor must be set before the alias)'],
    ['| hunter2', '12:21: Not a YAML token'],
    ['>hunter2', '12:20: Block scalar header includes extra characters'],
    ['!a!hunter2 b', '12:19: Could not resolve tag'],
    ['"hunt\\qer2"', '12:24: Invalid escape sequence'],
  ])('and a password %s that YAML takes for something else is not shown', (password, sentence) => {
    const text = changed('password: hidden', `password: ${password}`)
    expect(complaints(text)).toEqual([`pgwarden.yaml:${sentence}`])
  })

  it.each(['{ user: a, password:hunter2 }', '{ user: a, "pass word": hunter2, hunter2: }'])(
    'and a password in %s that has become a key is not shown',
    (broker) => {
      const all = complaints(changed(/broker:\n( {8}.*\n)+/, `broker: ${broker}\n`)).join('\n')
      expect(all).toContain('broker: unknown key, which is not shown')
      expect(all).not.toContain('hunter2')
    },
  )

  it('and so are aliases that would fill the memory', () => {
    const levels = Array.from({ length: 9 }, (_, i) => {
      const below =
        i === 0
          ? 'x'
          : Array(9)
              .fill(`*a${i - 1}`)
              .join(', ')
      return `a${i}: &a${i} [${below}]\n`
    })
    expect(complaints(levels.join(''))[0]).toMatch(/^pgwarden\.yaml:1:1: .*alias/)
  })

  it('together with all the others', () => {
    const text = changed('host: db\n', 'port: 0\n').replace('owned: drop', 'owned: 1')
    expect(complaints(`${text}nonsense: 1\n`)).toHaveLength(4)
  })

  it('without the secret that stands beside it', () => {
    const said = complaints(changed('password: hidden', 'password: [hidden]'))
    expect(said.join()).not.toContain('hidden')
  })

  it('and a file that is not there, with what to do', async () => {
    await expect(loadConfig('/nowhere/pgwarden.yaml')).rejects.toThrow(
      '/nowhere/pgwarden.yaml: the configuration cannot be read',
    )
  })
})
