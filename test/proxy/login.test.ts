// What a session upstream begins with, and what it must keep. The target is a stub: what it was asked
// for is looked at, and what it reports is made up.

import { Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import type { ClientCertificate } from '../../src/audit/record.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { Failure } from '../../src/errors.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles, type RoleDefinition } from '../../src/policy/roles.ts'
import { Crowd } from '../../src/proxy/crowd.ts'
import { type LoggedIn, type LoginDependencies, logIn } from '../../src/proxy/login.ts'
import type { LeaseUse, Target } from '../../src/proxy/ports.ts'
import { Refusals } from '../../src/proxy/refusals.ts'
import { Secret } from '../../src/secret.ts'
import { untraced } from '../../src/telemetry/tracing.ts'
import { emptyChain, HeldClock, MemoryStorage } from '../support/memory-journal.ts'
import { shop, uncrowded } from '../support/shop-target.ts'
import { silentMeter } from '../support/silent-meter.ts'

const bounded: readonly RoleDefinition[] = [
  {
    name: 'slow',
    includes: ['read_only'],
    limits: { statement_timeout: '5min', work_mem: '64MB' },
  },
  { name: 'quick', includes: ['slow'], limits: { statement_timeout: '30s' } },
]

const said = new Map([
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['default_transaction_read_only', 'on'],
  ['session_authorization', 'Lease_1'],
  ['is_superuser', 'off'],
])

/** Issues Lease_1, Lease_2 and so on, and writes down what becomes of each. */
class Logins {
  readonly happened: string[] = []
  failure = new Failure('login_refused', { message: 'could not log in to the target database' })
  readonly #refused: number
  readonly #warm: boolean
  #count = 0

  /** The target refuses the first so many. `warm`: they were not made just now. */
  constructor(refused = 0, warm = true) {
    this.#refused = refused
    this.#warm = warm
  }

  next(): LeaseUse {
    const user = `Lease_${++this.#count}`
    const password = new Secret('x')
    return {
      lease: { id: 'l1', grantId: 'g1', user, password, vaultLease: undefined },
      opened: ({ processId }) => this.happened.push(`${user} opened by ${processId}`),
      released: () => this.happened.push(`${user} released`),
      refused: () => {
        this.happened.push(`${user} refused`)
        return this.#warm
      },
      remainingMs: undefined,
    }
  }

  accepts(user: string | undefined): boolean {
    return Number(user?.slice('Lease_'.length)) > this.#refused
  }
}

/** A login of the role, and the startup packet that the target got. */
async function login(
  role: string,
  parameters: Readonly<Record<string, string>> = {},
  reported: ReadonlyMap<string, string> = said,
  by: {
    readonly target?: Partial<Target>
    readonly certificate?: ClientCertificate
    readonly logins?: Logins
    readonly crowd?: Crowd
    /** Called when a token is looked at. */
    readonly verified?: () => void
  } = {},
): Promise<{ readonly asked: ReadonlyMap<string, string>; readonly loggedIn: LoggedIn }> {
  const grant: Grant = {
    id: 'g1',
    principal: 'alice',
    target: 'shop',
    role,
    startsAt: 0,
    endsAt: Number.MAX_SAFE_INTEGER,
    revokedAt: undefined,
    reason: 'test',
    requestId: undefined,
    relations: undefined,
    claims: {},
  }
  const authorization = Authorization.mint(grant, 't1', '127.0.0.1', new GrantChanges())
  const { logins = new Logins() } = by
  let asked: ReadonlyMap<string, string> = new Map()
  const nothing = (): undefined => undefined
  const deps: LoginDependencies = {
    tokens: {
      verify: () => {
        by.verified?.()
        return Promise.resolve({ type: 'authorized', authorization, serverFinal: undefined })
      },
    },
    guard: {
      lockedUntil: () => Promise.resolve(undefined),
      failed: () => Promise.resolve(0),
      succeeded: nothing,
    },
    publicUrl: undefined,
    credentials: {
      acquire: () => Promise.resolve(logins.next()),
      extendGrant: () => Promise.resolve(),
      endGrant: () => Promise.resolve(),
    },
    upstream: {
      connect: ({ parameters: startup }) => {
        asked = startup
        if (!logins.accepts(startup.get('user'))) return Promise.reject(logins.failure)
        return Promise.resolve({
          socket: new Socket(),
          server: 'db:5432',
          processId: 1,
          cancelKey: Buffer.alloc(4),
          greeting: Buffer.alloc(0),
          reported,
          serverVersion: 180000,
          rest: Buffer.alloc(0),
          cancel: () => Promise.resolve(true),
        })
      },
    },
    rulebook: {
      current: {
        policy: new Policy([...predefinedRoles, ...bounded], { maxBytes: 1024 }),
        targets: new Map<string, Target>([['shop', { ...shop, ...by.target }]]),
        recording: () => usualRecording,
        maxStatementBytes: 1024,
        limits: uncrowded,
      },
    },
    journal: new Journal(new MemoryStorage(), emptyChain, new HeldClock()),
    meter: silentMeter,
    tracing: untraced,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  }
  const startup = new Map(Object.entries({ user: 'alice', database: 'shop', ...parameters }))
  const peer = { address: '127.0.0.1', name: '127.0.0.1:5000', certificate: by.certificate }
  const claim = { principal: 'alice', tokenId: undefined }
  const applicant = {
    parameters: startup,
    claim,
    serverName: undefined,
    peer,
    write: nothing,
    refused: nothing,
    trace: untraced.login(),
    waited: () => 0,
  }
  const clock = new HeldClock()
  const { crowd = new Crowd({ clock, limits: () => uncrowded, meter: silentMeter }) } = by
  const doormen = { refusals: new Refusals({ ...deps, clock }), crowd }
  const proof = { type: 'token', text: new Secret('token') } as const
  return { loggedIn: await logIn(deps, doormen, applicant, proof), asked }
}

describe('the limits of a role', () => {
  it('are what its sessions begin with, the lowest of what it includes', async () => {
    const { asked } = await login('quick')
    expect(asked.get('statement_timeout')).toBe('30s')
    expect(asked.get('work_mem')).toBe('64MB')
  })

  it('give way to less that the client asks for, however it writes it', async () => {
    const { asked } = await login('quick', { Statement_Timeout: '5s', options: '-c work_mem=1MB' })
    expect(asked.get('Statement_Timeout')).toBe('5s')
    expect(asked.has('statement_timeout')).toBe(false)
    expect(asked.get('work_mem')).toBe('1MB')
  })

  it('do not give way to more', async () => {
    await expect(login('quick', { statement_timeout: '31s' })).rejects.toMatchObject({
      code: 'setting_denied',
    })
  })
})

describe('the pins of a session', () => {
  it('are asked for, and who the session is belongs to them', async () => {
    const { asked, loggedIn } = await login('read_only')
    expect(Object.fromEntries(asked)).toEqual({
      client_encoding: 'utf8',
      standard_conforming_strings: 'on',
      default_transaction_read_only: 'on',
      user: 'Lease_1',
      database: 'db',
    })
    expect(Object.fromEntries(loggedIn.pinned)).toMatchObject({
      default_transaction_read_only: ['on'],
      session_authorization: ['lease_1'],
      is_superuser: ['off'],
    })
  })

  it('leave who it is to a role that may change it', async () => {
    const { loggedIn } = await login('admin')
    expect([...loggedIn.pinned.keys()].sort()).toEqual([
      'client_encoding',
      'standard_conforming_strings',
    ])
  })

  it('stop a session that begins without them', async () => {
    const lost = new Map([...said, ['default_transaction_read_only', 'off']])
    await expect(login('read_only', {}, lost)).rejects.toMatchObject({ code: 'cannot_connect_now' })
  })
})

describe('a target that requires a client certificate', () => {
  const target = { clientCertificate: 'required' } as const

  it('is not opened to somebody who has a token alone', async () => {
    await expect(login('read_only', {}, said, { target })).rejects.toMatchObject({
      sqlstate: '28000',
      message: 'connection requires a client certificate',
    })
  })

  it('is opened to somebody who has both', async () => {
    const certificate = { subject: 'CN=alice', sha256: 'ab' }
    const { asked } = await login('read_only', {}, said, { target, certificate })
    expect(asked.get('database')).toBe('db')
  })
})

describe('a login that the target refuses', () => {
  const refused = { code: 'login_refused', sqlstate: '08006' }

  it('is given back, and another asked for', async () => {
    const logins = new Logins(1)
    const { asked } = await login('admin', {}, said, { logins })
    expect(asked.get('user')).toBe('Lease_2')
    expect(logins.happened).toEqual(['Lease_1 refused', 'Lease_1 released', 'Lease_2 opened by 1'])
  })

  it('is not asked for a third time', async () => {
    const logins = new Logins(9)
    await expect(login('admin', {}, said, { logins })).rejects.toMatchObject(refused)
    expect(logins.happened.filter((each) => each.endsWith('released'))).toHaveLength(2)
  })

  it('is not asked for again when it was made for this session', async () => {
    const logins = new Logins(1, false)
    await expect(login('admin', {}, said, { logins })).rejects.toMatchObject(refused)
    expect(logins.happened).toEqual(['Lease_1 refused', 'Lease_1 released'])
  })

  it('stays good when something else was the matter', async () => {
    const logins = new Logins(1)
    logins.failure = new Failure('upstream_unreachable', { message: 'it is away' })
    await expect(login('admin', {}, said, { logins })).rejects.toThrow('it is away')
    expect(logins.happened).toEqual(['Lease_1 released'])
  })
})

describe('the sessions of a grant', () => {
  const one = (clock = new HeldClock()) =>
    new Crowd({ clock, limits: () => ({ ...uncrowded, sessionsPerGrant: 1 }), meter: silentMeter })

  it('are counted before a database login is asked for', async () => {
    const crowd = one()
    const logins = new Logins()
    const { loggedIn } = await login('admin', {}, said, { crowd })
    const another = login('admin', {}, said, { crowd, logins })
    await expect(another).rejects.toMatchObject({ sqlstate: '53300' })
    expect(logins.happened).toEqual([])
    loggedIn.seat.giveBack()
    await login('admin', {}, said, { crowd })
  })

  it('do not slip through when they come at once', async () => {
    const crowd = one()
    const both = [1, 2].map(() => login('admin', {}, said, { crowd }))
    const settled = await Promise.allSettled(both)
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('do not count what could not be opened', async () => {
    const crowd = one()
    const refused = new Logins(9, false)
    await expect(login('admin', {}, said, { crowd, logins: refused })).rejects.toThrow()
    await login('admin', {}, said, { crowd })
  })
})

describe('a login that comes too fast', () => {
  it('is refused before its token is looked at', async () => {
    const limits = { ...uncrowded, loginsPerSecond: 2 }
    const clock = new HeldClock()
    const crowd = new Crowd({ clock, limits: () => limits, meter: silentMeter })
    await login('admin', {}, said, { crowd })
    await login('admin', {}, said, { crowd })
    const verified = vi.fn()
    const third = login('admin', {}, said, { crowd, verified })
    await expect(third).rejects.toMatchObject({ sqlstate: '53400' })
    expect(verified).not.toHaveBeenCalled()
    clock.wall += 500
    await login('admin', {}, said, { crowd, verified })
    expect(verified).toHaveBeenCalledOnce()
  })
})

describe('a session that cannot begin', () => {
  it('gives its login back', async () => {
    const logins = new Logins()
    const lost = new Map([...said, ['default_transaction_read_only', 'off']])
    await expect(login('read_only', {}, lost, { logins })).rejects.toThrow()
    expect(logins.happened).toEqual(['Lease_1 opened by 1', 'Lease_1 released'])
  })
})

describe('the name of a session in PostgreSQL', () => {
  const applicationName = [
    { type: 'text', text: 'pgwarden ' },
    { type: 'principal' },
    { type: 'text', text: ' ' },
    { type: 'application' },
  ] as const

  it('carries who it is, and the client’s own name stands in the audit', async () => {
    const asked = { application_name: 'psql' }
    const session = await login('read_only', asked, said, { target: { applicationName } })
    expect(session.asked.get('application_name')).toBe('pgwarden alice psql')
    expect(session.loggedIn.application).toBe('psql')
  })

  it('is not taken back by a client that writes the setting otherwise, or in its options', async () => {
    const asked = { Application_Name: 'x', options: '-c APPLICATION_NAME=y' }
    const session = await login('read_only', asked, said, { target: { applicationName } })
    const names = [...session.asked].filter(([name]) => name.toLowerCase() === 'application_name')
    expect(names).toEqual([['application_name', 'pgwarden alice x']])
    expect(session.loggedIn.application).toBe('x')
  })

  it('is the client’s own where the operator has left it empty', async () => {
    const { asked } = await login('read_only', { application_name: 'psql' })
    expect(asked.get('application_name')).toBe('psql')
  })
})
