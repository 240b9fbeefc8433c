import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import { type Ended, pgwarden, type Surroundings } from '../support/command-line.ts'
import { ControlPlane, json, key, problem } from '../support/control-plane.ts'

let plane: ControlPlane
let home: string

beforeEach(async () => {
  plane = new ControlPlane()
  home = await mkdtemp(join(tmpdir(), 'pgwarden-home-'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

function at(words: readonly string[], more: Surroundings = {}): Promise<Ended> {
  const { env, outside, ...others } = more
  return pgwarden(
    words,
    {},
    {
      env: {
        ...{ XDG_CONFIG_HOME: home, PGWARDEN_URL: 'https://warden.test', PGWARDEN_API_KEY: key },
        ...env,
      },
      outside: { fetch: plane.fetch, pause: () => setImmediate(), ...outside },
      ...others,
    },
  )
}

const words = {
  request: ['request', 'shop', '--role', 'read_full_write', '--reason', 'fix order 1234'],
}

describe('a request', () => {
  it('is made as it was said, and says who must approve it and what comes then', async () => {
    const { status, stdout, stderr } = await at([
      ...words.request,
      '--for',
      '2h',
      '--write',
      'shop.orders',
    ])
    expect(status).toBe(0)
    expect(plane.asked.at(-1)?.body).toEqual({
      ...{ target: 'shop', role: 'read_full_write', reason: 'fix order 1234' },
      ...{ durationSeconds: 7200, relations: { write: ['shop.orders'] } },
    })
    expect(stdout).toBe(
      'Request r1: read_full_write on shop for 2 h\n' +
        '  state     pending\n' +
        '  who       alice\n' +
        '  reason    fix order 1234\n' +
        '  tables    write shop.orders\n' +
        '  needs     manager (group managers) and ciso (group security)\n' +
        '  expires   in 7 h 59 m\n',
    )
    expect(stderr).toBe(
      'An approver says yes with:  pgwarden approve r1\n' +
        'Then begin with:            pgwarden psql shop --role read_full_write\n',
    )
  })

  it('carries a key, so that what repeats it on the way makes no second one', async () => {
    await at(words.request)
    await at(words.request)
    const keys = plane.asked.map(({ headers }) => headers.get('idempotency-key'))
    expect(keys.every((each) => (each ?? '').length > 20)).toBe(true)
    expect(new Set(keys).size).toBe(2)
  })

  it('is not made twice where the first answer got lost', async () => {
    plane.instead = () => Promise.reject(new TypeError('fetch failed'))
    const { status, stderr } = await at(words.request)
    expect(status).toBe(1)
    expect(stderr).toContain('https://warden.test cannot be asked')
    expect(plane.questions).toEqual(['POST requests'])
  })

  it('is waited for with a line for each change, and its outcome is the status', async () => {
    plane.onLook = (request, looks) => {
      const { missing } = request
      if (looks === 2) plane.requests.set(request.id, { ...request, missing: missing.slice(1) })
      if (looks === 4) plane.decide(request, 'approved')
    }
    const { status, stdout, stderr } = await at([...words.request, '--wait'])
    expect(status).toBe(0)
    expect(stderr).toBe(
      'request r1 waits for manager (group managers) and ciso (group security)\n' +
        'request r1 waits for ciso (group security)\n' +
        'Begin with: pgwarden psql shop --role read_full_write\n',
    )
    expect(stdout).toMatch(/state {5}approved\n(.*\n)*.*grant {5}g2/)
  })

  it.each([
    { state: 'denied', status: 1 },
    { state: 'withdrawn', status: 1 },
    { state: 'expired', status: 4 },
  ] as const)(
    'that is $state while it is waited for ends with $status',
    async ({ state, status }) => {
      plane.onLook = (request) => plane.decide(request, state, 'not on a Friday')
      const ended = await at([...words.request, '--wait'])
      expect(ended.status).toBe(status)
      expect(ended.stdout).toContain(state)
      if (state === 'denied') expect(ended.stdout).toContain('not on a Friday')
    },
  )

  it('that nobody decides in time is still pending: status 4', async () => {
    const { status } = await at([...words.request, '--timeout', '1s'], {
      outside: { clock: ticking(400) },
    })
    expect(status).toBe(4)
  })

  it('is waited for while the server is away', async () => {
    let outages = 0
    plane.instead = ({ method, path }) =>
      method === 'GET' && path === 'requests/r1' && outages++ < 4
        ? problem(503, 'cannot_connect_now', 'the store cannot be asked')
        : undefined
    plane.onLook = (request) => plane.decide(request, 'approved')
    const { status, stderr } = await at([...words.request, '--wait'])
    expect(status).toBe(0)
    expect(stderr).toContain('the server does not answer; trying again\n')
  })

  it('has one line at a terminal, with the time that is left', async () => {
    plane.onLook = (request) => plane.decide(request, 'approved')
    const { stderr } = await at([...words.request, '--wait'], { tty: true, env: { NO_COLOR: '1' } })
    expect(stderr).toBe(
      '\r\u001b[K[expires in 7 h 59 m] request r1 waits for manager (group managers) and ciso (g\r\u001b[K' +
        'Begin with: pgwarden psql shop --role read_full_write\n',
    )
  })
})

describe('a list', () => {
  it('is a table for people, page after page', async () => {
    for (const reason of ['one', 'two', 'three', 'four\u001b[2J']) plane.request({ reason })
    const { stdout } = await at(['requests'])
    expect(stdout.split('\n')[0]).toMatch(/^REQUEST {2}STATE {4}WHO {4}ROLE/)
    expect(stdout).toMatch(/r4 {7}pending {2}alice {2}read_full_write {2}shop {4}2 h/)
    expect(stdout).toContain('four\\u{1b}[2J\n')
    expect(stdout.trimEnd().split('\n')).toHaveLength(5)
  })

  it('says that there are more than were asked for', async () => {
    for (const reason of ['one', 'two', 'three']) plane.request({ reason })
    const { stdout, stderr } = await at(['requests', '--limit', '2'])
    expect(stdout.trimEnd().split('\n')).toHaveLength(3)
    expect(stderr).toBe('These are the newest 2; there are more (--limit).\n')
  })

  it('is an object a line for programs, with all that the server said', async () => {
    plane.grant({ new_in_a_later_version: 7 })
    const { stdout } = await at(['grants', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ id: 'g1', new_in_a_later_version: 7 })
  })

  it('of what one may decide asks for just that', async () => {
    const { stderr } = await at(['requests', '--to-decide', '--target', 'shop'])
    expect(plane.asked[0]?.query).toEqual({ limit: '50', decidable: 'true', target: 'shop' })
    expect(stderr).toBe('Nothing waits for you.\n')
  })

  it('of targets has a row for each role, with who must approve it', async () => {
    const { stdout } = await at(['targets'])
    expect(stdout).toContain(
      'shop    yes         read_full_write  no                30 d     manager (group managers) and',
    )
  })

  it('that is watched shows each request once, and again when it has changed', async () => {
    const request = plane.request()
    let rounds = 0
    const pause = () => {
      if (++rounds === 2) plane.decide(request, 'denied')
      return Promise.resolve()
    }
    const { stdout, status } = await at(['requests', '--watch', '--timeout', '2s'], {
      outside: { pause, clock: ticking(400) },
    })
    expect(status).toBe(0)
    expect(stdout.trimEnd().split('\n')).toEqual([
      'r1 pending: alice, read_full_write on shop, needs manager (group managers) and ciso (group security) (fix order 1234)',
      'r1 denied: alice, read_full_write on shop (fix order 1234)',
    ])
  })
})

describe('what the server refuses', () => {
  it('is told in its words, with status 5 where somebody else was first', async () => {
    const request = plane.request()
    await at(['withdraw', request.id])
    const { status, stderr } = await at(['approve', request.id, '--comment', 'fine'])
    expect(status).toBe(5)
    expect(stderr).toBe('pgwarden: request r1 is withdrawn already\n')
  })

  it('names each field that is wrong, and what to do; nothing of it acts on the terminal', async () => {
    plane.instead = () =>
      problem(400, 'invalid_parameter', 'the body \u001b[2Jis not usable', {
        detail: 'Two fields.',
        hint: 'See /docs.',
        errors: [{ path: 'reason', message: 'too short' }],
      })
    const { status, stderr } = await at(words.request)
    expect(status).toBe(1)
    expect(stderr).toBe(
      'pgwarden: the body \\u{1b}[2Jis not usable\n  Two fields.\n  reason: too short\nWhat to do: See /docs.\n',
    )
  })

  it.each([
    { status: 401, body: { code: 'unauthenticated', title: 'no such key' }, ends: 3 },
    { status: 403, body: { code: 'forbidden', title: 'not yours' }, ends: 1 },
    { status: 404, body: { code: 'not_found', title: 'no such thing' }, ends: 1 },
    { status: 412, body: { code: 'precondition_failed', title: 'it changed' }, ends: 5 },
    { status: 422, body: { code: 'key_reused', title: 'that key' }, ends: 5 },
    { status: 401, body: 'a page of a load balancer', ends: 3 },
  ])('with $status and $body ends with status $ends', async ({ status, body, ends }) => {
    plane.instead = () => json(status, body)
    expect((await at(['whoami'])).status).toBe(ends)
  })
})

describe('the server', () => {
  it('is asked again where asking has no effect', async () => {
    let times = 0
    plane.instead = () => (++times < 3 ? problem(503, 'cannot_connect_now', 'away') : undefined)
    expect((await at(['whoami'])).status).toBe(0)
    expect(times).toBe(3)
  })

  it.each([
    { url: 'http://warden.test', says: 'would be spoken to in the clear' },
    { url: 'https://alice:secret@warden.test', says: 'holds no user name and no password' },
    { url: 'warden.test', says: 'is no URL of a server' },
    { url: 'file:///etc/passwd', says: 'is no URL of a server' },
  ])('at $url is not spoken to', async ({ url, says }) => {
    const { status, stderr } = await at(['whoami', '--url', url])
    expect(status).toBe(1)
    expect(stderr).toContain(says)
    expect(plane.asked).toEqual([])
  })

  it.each(['http://localhost:8432', 'http://127.0.0.1:8432', 'http://[::1]:8432'])(
    'on this machine may be spoken to in the clear: %s',
    async (url) => {
      expect((await at(['whoami', '--url', url])).status).toBe(0)
    },
  )

  it('that sends us elsewhere is not followed, and the credential stays here', async () => {
    plane.instead = () =>
      new Response(null, { status: 302, headers: { location: 'https://evil.test/' } })
    const { status, stderr } = await at(['whoami'])
    expect(status).toBe(1)
    expect(stderr).toContain('sends us elsewhere (https://evil.test/)')
    expect(plane.asked).toHaveLength(1)
  })

  it('that is no pgwarden is found out', async () => {
    plane.instead = () => new Response('<html>')
    const { status, stderr } = await at(['whoami'])
    expect(status).toBe(1)
    expect(stderr).toContain('gave an answer that is not understood')
  })

  it('that is not known asks for a login', async () => {
    const { status, stderr } = await at(['whoami'], { env: { PGWARDEN_URL: '' } })
    expect(status).toBe(3)
    expect(stderr).toContain('it is not known which server is meant')
    expect(stderr).toContain('pgwarden login URL')
  })

  it('that nobody has logged in to says how', async () => {
    const { status, stderr } = await at(['grants'], { env: { PGWARDEN_API_KEY: '' } })
    expect(status).toBe(3)
    expect(stderr).toContain('you are not logged in to https://warden.test')
    expect(stderr).toContain('Run pgwarden login https://warden.test or put an API key')
    expect(plane.asked).toEqual([])
  })
})

describe('taking access back', () => {
  const revoked = (complete: boolean) => {
    plane.instead = ({ method }) =>
      method === 'DELETE'
        ? json(complete ? 200 : 202, {
            grant: plane.grant({ state: 'revoked' }),
            complete,
            sessions: complete ? [] : ['s1'],
            logins: [
              {
                ...{ lease: 'l1', engine: 'broker', databaseRole: 'pgw_g1' },
                state: complete ? 'confirmed' : 'open',
              },
            ],
          })
        : undefined
  }

  it('says that sessions and logins are gone', async () => {
    revoked(true)
    const { status, stdout } = await at(['revoke', 'g1', '--reason', 'laptop stolen'])
    expect(status).toBe(0)
    expect(plane.asked[0]?.query).toEqual({ reason: 'laptop stolen', waitSeconds: '10' })
    expect(stdout).toBe(
      'Grant g1 of alice (read_only on shop) is revoked.\n' +
        '  pgw_g1 (broker): gone, and seen to be gone\n' +
        'Its sessions have ended, and its logins are gone.\n',
    )
  })

  it('says what is not gone yet, with status 4', async () => {
    revoked(false)
    const { status, stdout } = await at(['revoke', 'g1', '--reason', 'x', '--wait', '2m'])
    expect(status).toBe(4)
    expect(plane.asked[0]?.query['waitSeconds']).toBe('30')
    expect(stdout).toContain('  1 session not known to have ended yet\n')
    expect(stdout).toContain('NOT everything is confirmed yet.')
  })

  it('of a session says whether it has ended', async () => {
    plane.instead = () => json(202, { id: 's1', ended: false })
    const { status, stdout } = await at(['kill', 's1', '--reason', 'runs away'])
    expect({ status, stdout }).toEqual({
      status: 4,
      stdout: 'Session s1 was told to end; it is not known yet that it has.\n',
    })
  })
})

describe('a longer grant', () => {
  it('is there at once where the rules allow it', async () => {
    plane.instead = () => json(200, { outcome: 'extended', grant: plane.grant() })
    const { status, stdout } = await at(['extend', 'g1', '--for', '2h', '--reason', 'not done'])
    expect(status).toBe(0)
    expect(plane.asked[0]?.body).toEqual({ durationSeconds: 7200, reason: 'not done' })
    expect(stdout).toContain('until     ')
  })

  it('is asked for where somebody must approve it: status 4', async () => {
    plane.instead = () => json(202, { outcome: 'requested', request: plane.request() })
    const { status, stdout } = await at(['extend', 'g1', '--for', '2h', '--reason', 'not done'])
    expect(status).toBe(4)
    expect(stdout).toContain('needs     manager')
  })
})

describe('a token', () => {
  it('is a psql line on stdout, and its terms on stderr', async () => {
    plane.grant()
    const { status, stdout, stderr } = await at(['token', 'g1', '--kind', 'single-use'])
    expect(status).toBe(0)
    expect(plane.asked.at(-1)?.body).toEqual({ kind: 'single-use' })
    expect(stdout).toBe(
      'psql "host=127.0.0.1 port=6432 dbname=shop user=alice password=pgw_the_token"\n',
    )
    expect(stderr).toBe(
      'The token is good for exactly one login, to be begun by 2030-01-02T03:04:05Z.\n',
    )
  })
})

describe('connect', () => {
  it.each([
    ['psql', /^psql "host=127\.0\.0\.1/],
    ['uri', /^postgresql:\/\/alice:pgw_the_token@/],
    ['jdbc', /^jdbc:postgresql:/],
    ['dbeaver', /^dbeaver -con/],
    ['pgpass', /^127\.0\.0\.1:6432:shop:alice:pgw_the_token\n$/],
  ])('--%s prints the line for it, with a token of its own', async (form, line) => {
    plane.grant()
    const { status, stdout } = await at(['connect', 'shop', `--${form}`])
    expect(status).toBe(0)
    expect(stdout).toMatch(line)
  })

  it('tells the password to a person only, where the form has no place for it', async () => {
    plane.grant()
    const script = await at(['connect', 'shop', '--pgadmin'])
    expect(script.stdout + script.stderr).not.toContain(plane.token)
    const person = await at(['connect', 'shop', '--pgadmin'], { tty: true })
    expect(person.stderr).toContain(`The password that it will ask for: ${plane.token}\n`)
  })

  it.each([[[]], [['--uri', '--jdbc']]])('wants one form: %s', async (given) => {
    const { status, stderr } = await at(['connect', 'shop', ...given])
    expect(status).toBe(2)
    expect(stderr).toContain('Say one of --psql, --uri')
    expect(plane.asked).toEqual([])
  })
})

/** A clock that goes on by so many milliseconds whenever it is looked at. */
function ticking(by: number): Clock {
  let elapsed = 0
  return {
    now: () => Date.now(),
    elapsed: () => {
      elapsed += by
      return elapsed
    },
  }
}
