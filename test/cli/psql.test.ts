import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Environment, Programs } from '../../src/cli/outside.ts'
import { type Ended, pgwarden, type Surroundings } from '../support/command-line.ts'
import { ControlPlane, key, problem } from '../support/control-plane.ts'

interface Run {
  readonly program: string
  readonly words: readonly string[]
  readonly env: Environment
}

let plane: ControlPlane
let home: string
let runs: Run[]

beforeEach(async () => {
  plane = new ControlPlane()
  runs = []
  home = await mkdtemp(join(tmpdir(), 'pgwarden-home-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

function psqlThat(work: Programs['run'] = () => Promise.resolve(0)): Programs {
  return {
    has: () => Promise.resolve(true),
    run: (program, words, env, forward) => {
      runs.push({ program, words, env })
      return work(program, words, env, forward)
    },
  }
}

function psql(words: readonly string[], more: Surroundings = {}): Promise<Ended> {
  const { env, outside, ...others } = more
  return pgwarden(
    ['psql', ...words],
    {},
    {
      env: {
        ...{ XDG_CONFIG_HOME: home, PGWARDEN_URL: 'https://warden.test', PGWARDEN_API_KEY: key },
        ...{ PATH: '/usr/bin', HOME: home },
        ...env,
      },
      outside: {
        ...{ fetch: plane.fetch, pause: () => setImmediate(), programs: psqlThat() },
        ...outside,
      },
      ...others,
    },
  )
}

const asking = ['shop', '--role', 'read_full_write', '--reason', 'fix order 1234']

describe('psql', () => {
  it('opens on the grant that there is', async () => {
    const later = { endsAt: new Date(Date.now() + 7_200_000).toISOString() }
    plane.grant({ ...later, principal: 'bob' })
    plane.grant({ ...later, role: 'admin' })
    plane.grant({ ...later, target: 'other' })
    plane.grant({ ...later, state: 'expired' })
    const grant = plane.grant()
    const { status, stderr, stdout } = await psql(['shop', '--role', 'read_only'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toBe(`Grant ${grant.id}: read_only on shop, 1 h left.\n`)
    expect(plane.questions).toEqual(['GET me', 'GET grants', `POST grants/${grant.id}/tokens`])
    expect(plane.asked.at(-1)?.body).toEqual({ kind: 'one-time' })
  })

  it('opens on the only grant where no role is said', async () => {
    plane.grant({ role: 'admin' })
    expect((await psql(['shop'])).status).toBe(0)
    expect(runs).toHaveLength(1)
  })

  it('takes of several grants the one that allows most, and then the one that lasts longest', async () => {
    const endsAt = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString()
    plane.grant({ endsAt: endsAt(9), relations: { read: ['shop.orders'] } })
    plane.grant({ endsAt: endsAt(1) })
    const { id } = plane.grant({ endsAt: endsAt(2) })
    plane.grant({ endsAt: endsAt(1.5) })
    expect((await psql(['shop'])).status).toBe(0)
    expect(plane.questions.at(-1)).toBe(`POST grants/${id}/tokens`)
  })

  it('asks which role where there are several', async () => {
    plane.grant()
    plane.grant({ role: 'admin' })
    const { status, stderr } = await psql(['shop'])
    expect(status).toBe(2)
    expect(stderr).toContain('--role: admin, read_only')
  })

  it('asks for access where there is none, and opens when the rules give it', async () => {
    const { status } = await psql(['shop', '--role', 'read_only', '--for', '2h', '--reason', 'why'])
    expect(status).toBe(0)
    expect(plane.asked.find(({ method }) => method === 'POST')?.body).toEqual({
      ...{ target: 'shop', role: 'read_only', reason: 'why', durationSeconds: 7200 },
    })
    expect(runs).toHaveLength(1)
  })

  it('waits for the approval, and opens then', async () => {
    plane.onLook = (request, looks) => {
      if (looks === 3) plane.decide(request, 'approved')
    }
    const { status, stderr } = await psql(asking)
    expect(status).toBe(0)
    expect(stderr).toContain('request r1 waits for manager (group managers)')
    expect(stderr).toContain('Request r1 is approved for 2 h.\n')
    expect(runs).toHaveLength(1)
  })

  it('waits for the request that was made before, and makes no second one', async () => {
    const request = plane.request()
    plane.request({ extends: 'g9' })
    plane.onLook = () => plane.decide(request, 'approved')
    expect((await psql(asking)).status).toBe(0)
    expect(plane.questions).not.toContain('POST requests')
  })

  it('does not open when the request is denied, and says what was said', async () => {
    plane.onLook = (request) => plane.decide(request, 'denied', 'not on a Friday')
    const { status, stderr } = await psql(asking)
    expect(status).toBe(1)
    expect(stderr).toContain('not on a Friday')
    expect(runs).toEqual([])
  })

  it('with --no-wait says how to go on and how to take it back: status 4', async () => {
    const { status, stderr } = await psql([...asking, '--no-wait', '--', '-c', 'select 1'])
    expect(status).toBe(4)
    expect(stderr).toBe(
      'Request r1 stands; it needs manager (group managers) and ciso (group security).\n' +
        `  go on:         pgwarden psql shop --role read_full_write -- -c 'select 1'\n` +
        '  take it back:  pgwarden withdraw r1\n',
    )
  })

  it('leaves the request standing at Ctrl-C', async () => {
    const signals = new EventEmitter()
    const pause = () => Promise.resolve(void signals.emit('SIGINT'))
    const { status, stderr } = await psql(asking, { signals, outside: { pause } })
    expect(status).toBe(4)
    expect(stderr).toContain('Request r1 stands')
    expect(plane.requests.get('r1')?.state).toBe('pending')
    expect(plane.questions.at(-1)).toBe('POST requests')
    expect(signals.eventNames()).toEqual([])
  })

  it('asks a person for the reason that is missing', async () => {
    const { status, stderr } = await psql(['shop', '--role', 'read_only'], {
      ...{ tty: true, stdin: ' wrong total \n', env: { NO_COLOR: '1' } },
    })
    expect(status).toBe(0)
    expect(stderr).toContain('Why do you need read_only on shop? ')
    expect(plane.asked.find(({ method }) => method === 'POST')?.body).toMatchObject({
      reason: 'wrong total',
    })
  })

  it.each([
    { what: 'a script without a reason', surroundings: {} },
    { what: 'a person who gives none', surroundings: { tty: true, stdin: '' } },
  ])('asks for nothing on behalf of $what', async ({ surroundings }) => {
    const { status, stderr } = await psql(['shop', '--role', 'read_only'], surroundings)
    expect(status).toBe(2)
    expect(stderr).toContain('access is not given without a reason')
    expect(plane.questions).not.toContain('POST requests')
  })

  it('names the roles where none is said and none is there', async () => {
    const { status, stderr } = await psql(['shop', '--reason', 'why'])
    expect(status).toBe(2)
    expect(stderr).toContain('Say which role with --role: read_only, read_full_write.')
  })

  it('says that nobody is logged in, and asks a script for no code: status 3', async () => {
    const { status, stderr } = await psql(asking, { env: { PGWARDEN_API_KEY: '' } })
    expect(status).toBe(3)
    expect(stderr).toContain('Run pgwarden login https://warden.test')
    expect(plane.asked).toEqual([])
  })

  it('says so before anybody is asked where psql is not installed', async () => {
    const programs = { ...psqlThat(), has: () => Promise.resolve(false) }
    const { status, stderr } = await psql(asking, { outside: { programs } })
    expect(status).toBe(1)
    expect(stderr).toContain('psql is not installed')
    expect(stderr).toContain('postgresql-client')
    expect(stderr).toContain('pgwarden connect shop --uri')
    expect(plane.asked).toEqual([])
  })

  it('ends with the status of psql', async () => {
    plane.grant()
    const programs = psqlThat(() => Promise.resolve(3))
    expect((await psql(['shop'], { outside: { programs } })).status).toBe(3)
  })

  it('says that the grant is gone where it went before the token was there', async () => {
    plane.grant()
    plane.instead = ({ path }) =>
      path.endsWith('/tokens') ? problem(409, 'conflict', 'the grant is revoked') : undefined
    const { status, stderr } = await psql(['shop'])
    expect(status).toBe(5)
    expect(stderr).toContain('the grant is revoked')
    expect(runs).toEqual([])
  })

  it('leaves Ctrl-C to psql, and passes on what only we are told', async () => {
    plane.grant()
    const signals = new EventEmitter()
    const told: boolean[] = []
    const programs = psqlThat((_program, _words, _env, forward) => {
      signals.emit('SIGINT')
      signals.emit('SIGINT')
      told.push(forward.aborted)
      signals.emit('SIGTERM')
      told.push(forward.aborted)
      return Promise.resolve(143)
    })
    const { status } = await psql(['shop'], { signals, outside: { programs } })
    expect({ status, told }).toEqual({ status: 143, told: [false, true] })
    expect(signals.eventNames()).toEqual([])
  })
})

describe('the environment of psql', () => {
  const environment = async (env: Readonly<Record<string, string>>) => {
    plane.grant()
    await psql(['shop', '--', '--csv', '-c', 'select 1'], { env })
    const [run] = runs
    if (run === undefined) throw new Error('psql was not run')
    return run
  }

  it('says where to and holds the token; the arguments are those that were given', async () => {
    const { program, words, env } = await environment({})
    expect(program).toBe('psql')
    expect(words).toEqual(['--csv', '-c', 'select 1'])
    expect(env).toEqual({
      ...{ PATH: '/usr/bin', HOME: home, XDG_CONFIG_HOME: home },
      ...{ PGHOST: '127.0.0.1', PGPORT: '6432', PGDATABASE: 'shop', PGUSER: 'alice' },
      ...{ PGPASSWORD: 'pgw_the_token', PGSSLMODE: 'disable' },
    })
  })

  it.each([
    ...['PGSERVICE', 'PGSERVICEFILE', 'PGSYSCONFDIR', 'PGHOSTADDR', 'PGPASSFILE', 'PGOPTIONS'],
    ...['PGTARGETSESSIONATTRS', 'PGLOADBALANCEHOSTS', 'PGREQUIRESSL', 'PGSSLNEGOTIATION'],
    ...['PGWARDEN_API_KEY', 'PGANYTHING_OF_A_LATER_LIBPQ'],
  ])('has no %s', async (name) => {
    const { env } = await environment(name === 'PGWARDEN_API_KEY' ? {} : { [name]: 'evil' })
    expect(env).not.toHaveProperty(name)
  })

  it.each(['PGAPPNAME', 'PGTZ', 'PGSSLROOTCERT', 'PSQL_PAGER', 'PSQLRC', 'LC_ALL'])(
    'has the %s that was set',
    async (name) => {
      expect((await environment({ [name]: 'own' })).env).toHaveProperty(name, 'own')
    },
  )

  it.each([
    { servers: 'require', own: 'verify-full', asked: 'verify-full' },
    { servers: 'require', own: 'disable', asked: 'require' },
    { servers: 'disable', own: 'require', asked: 'require' },
    { servers: 'require', own: 'nonsense', asked: 'require' },
  ])('asks of TLS the more of $servers and $own', async ({ servers, own, asked }) => {
    plane.connection = { ...plane.connection, sslmode: servers }
    expect((await environment({ PGSSLMODE: own })).env['PGSSLMODE']).toBe(asked)
  })

  it.each([
    ['-h', 'evil.test'],
    ['-hevil.test'],
    ['-Athevil.test'],
    ['-At', '-p', '5432'],
    ['--host=evil.test'],
    ['--hos', 'evil.test'],
    ['--port', '1'],
    ['-U', 'bob'],
    ['--user=bob'],
    ['-d', 'host=evil.test'],
    ['--db=service=evil'],
    ['postgresql://evil.test/'],
    ['-c', 'select 1', 'host=evil.test'],
    ['-X', '--', 'evil'],
  ])('is not undone by the arguments %s %s', async (...words) => {
    plane.grant()
    const { status, stderr } = await psql(['shop', '--', ...words])
    expect(status).toBe(2)
    expect(stderr).toContain('where psql connects to is for pgwarden to say')
    expect(plane.asked).toEqual([])
  })

  it.each([
    ['-c', '-h'],
    ['-At', '-F', 'x', '-v', 'host=1', '-f', 'script.sql'],
    ['--set=user=1', '--command', 'select 1', '-1', '-P', 'pager=off', '--html'],
  ])('is not thought to be undone by the arguments %s %s', async (...words) => {
    plane.grant()
    expect((await psql(['shop', '--', ...words])).status).toBe(0)
    expect(runs[0]?.words).toEqual(words)
  })
})
