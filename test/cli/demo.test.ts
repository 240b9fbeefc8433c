import { expect, it } from 'vitest'
import type { Operations } from '../../src/cli/operations.ts'
import { Secret } from '../../src/secret.ts'
import { pgwarden } from '../support/command-line.ts'

const people = ['alice', 'bob', 'carol', 'dave'].map((user, index) => ({
  occupation: 'developer',
  key: new Secret(`pgk_${user}_secret`),
  role: ['read_only', 'read_limited_write', 'read_full_write', 'admin'][index] ?? '',
  token: {
    ...{ token: new Secret(`pgw_${user}_secret`), tokenId: user, grantId: `g${index}` },
    ...{ endsAt: 0, redeemBy: undefined },
    connection: {
      ...{ host: '127.0.0.1', port: 7432, database: 'shop', user, sslmode: 'disable' as const },
    },
  },
}))

const demo: Operations['demo'] = async ({ onStep, onReady }) => {
  onStep('Starting PostgreSQL')
  onReady({
    ...{
      proxy: '127.0.0.1:7432',
      http: 'http://127.0.0.1:8432',
      journalDirectory: '/d/my journal',
    },
    ...{ directory: '/d', configFile: '/d/pgwarden.yaml', people },
  })
  await Promise.resolve()
}

it('prints for each person a line to paste and a key, and how to see audit and metrics', async () => {
  const { status, stdout } = await pgwarden(['demo', '--port', '7432'], { demo })
  expect(status).toBe(0)
  for (const { role, token } of people) {
    expect(stdout).toContain(
      `${role}\n  psql "host=127.0.0.1 port=7432 dbname=shop user=${token.connection.user}` +
        ` password=${token.token.reveal()} sslmode=disable"\n`,
    )
  }
  for (const { token, key, occupation } of people) {
    expect(stdout).toContain(
      `\n  export PGWARDEN_API_KEY=${key.reveal()}  # ${token.connection.user}, ${occupation}\n`,
    )
  }
  expect(stdout).toContain('\n  export PGWARDEN_URL=http://127.0.0.1:8432\n')
  expect(stdout).toContain(`\n  pgwarden audit tail --follow '/d/my journal'\n`)
  const path = stdout.slice(stdout.indexOf('\nAsk for access'))
  const steps = [...path.matchAll(/^ {2}pgwarden (request|approve|psql|revoke) /gm)]
  expect(steps.map(([, step]) => step)).toEqual(['request', 'approve', 'psql', 'revoke'])
  expect(stdout).toContain('\n  curl http://127.0.0.1:8432/metrics\n')
  expect(stdout).toContain('\n  pgwarden token issue --config /d/pgwarden.yaml ')
  expect(stdout).toMatch(/^Starting PostgreSQL/)
})

it('hands its options on, and the defaults of the others', async () => {
  const seen: object[] = []
  const remember: Operations['demo'] = async ({ directory, port, httpPort, reset }) => {
    seen.push({ directory, port, httpPort, reset })
    await Promise.resolve()
  }
  await pgwarden(['demo'], { demo: remember })
  await pgwarden(['demo', '--data', 'd', '--http-port', '1', '--reset'], { demo: remember })
  expect(seen).toEqual([
    { directory: undefined, port: 6432, httpPort: 8432, reset: false },
    { directory: 'd', port: 6432, httpPort: 1, reset: true },
  ])
})
