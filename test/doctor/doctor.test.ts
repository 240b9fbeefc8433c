// The doctor's own rules, on a deployment that is made up: what is left out after what has failed, that it
// does not wait for ever, and that what was issued is taken back whatever happens.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Deployment, type ExaminedTarget, examine } from '../../src/doctor/doctor.ts'
import {
  type Circumstances,
  type Finding,
  fail,
  sentence,
  within,
} from '../../src/doctor/finding.ts'
import type { TrialLogin } from '../../src/doctor/trial.ts'
import type { ExaminedVault } from '../../src/doctor/vault.ts'
import { Failure } from '../../src/errors.ts'
import { HeldClock } from '../support/memory-journal.ts'

const day = 86_400_000
const nobody = {
  superuser: false,
  bypassesRowSecurity: false,
  replicates: false,
  makesRoles: false,
}

function circumstances(signal = new AbortController().signal): Circumstances {
  return { clock: new HeldClock(), signal, onStep: () => undefined }
}

/** A login that is accepted until it is revoked. `happened` is what was done with it. */
function login(happened: string[], more: Partial<TrialLogin> = {}): TrialLogin {
  let revoked = false
  return {
    user: 'v-one',
    roles: 'own',
    lifeMs: 60_000,
    renewable: true,
    logIn: () => {
      happened.push('log in')
      return Promise.resolve(revoked ? 'refused' : nobody)
    },
    renew: () => {
      happened.push('renew')
      return Promise.resolve()
    },
    revoke: () => {
      revoked = true
      happened.push('revoke')
      return Promise.resolve()
    },
    confirmGone: undefined,
    ...more,
  }
}

function target(issue: () => Promise<TrialLogin>, more: Partial<ExaminedTarget> = {}) {
  return {
    name: 'shop',
    servers: [
      {
        name: 'db:5432',
        mode: 'disable',
        probe: () => Promise.resolve({ loopback: true, certificate: undefined }),
      },
    ],
    broker: undefined,
    monitor: undefined,
    needsVault: true,
    trials: [{ role: 'read_only', source: 'database/creds/shop', issue }],
    ...more,
  }
}

const token = { policies: ['pgwarden'], ttl: 86_400, renewable: true, period: 86_400 }

function vault(more: Partial<ExaminedVault> = {}): ExaminedVault {
  return {
    method: 'approle',
    servers: [
      {
        address: 'http://vault:8200',
        loopback: false,
        health: () =>
          Promise.resolve({ state: 'active', version: '1.0', certificate: undefined } as const),
      },
    ],
    read: () => Promise.resolve(token),
    write: () => Promise.resolve({ 'database/creds/shop': ['read'] }),
    untouchable: undefined,
    needs: [{ path: 'database/creds/shop', capability: 'read', why: 'for this test' }],
    ...more,
  }
}

function deployment(targets: readonly ExaminedTarget[], withVault = vault()): Deployment {
  return {
    premises: {
      journal: { directory: '/journal', probe: () => Promise.resolve(50 * 1024 ** 3) },
      listeners: [],
      store: () =>
        Promise.resolve({ pending: [], later: [], mayMigrate: true, time: new HeldClock().now() }),
    },
    vault: withVault,
    targets,
  }
}

async function found(who: Deployment, how = circumstances()): Promise<readonly string[]> {
  const findings: Finding[] = []
  for await (const finding of examine(who, how)) findings.push(finding)
  return findings
    .filter(({ result }) => result !== 'ok')
    .map(({ subject, result, message }) => `${result} ${subject}: ${message}`)
}

describe('a Vault without TLS', () => {
  it('is none to warn of where it runs on this machine', async () => {
    const [there] = vault().servers
    if (there === undefined) throw new Error('no server')
    const here = { ...there, address: 'http://127.0.0.1:8200', loopback: true }
    expect(await found(deployment([], vault({ servers: [here] })))).toEqual([])
    expect(await found(deployment([], vault({ servers: [here, there] })))).toHaveLength(1)
  })
})

describe('a login that is tried', () => {
  const clear = 'warn vault http://vault:8200: tokens and passwords cross the network in the clear'

  it('is used, renewed, revoked and tried again', async () => {
    const happened: string[] = []
    expect(await found(deployment([target(() => Promise.resolve(login(happened)))]))).toEqual([
      clear,
    ])
    expect(happened).toEqual(['log in', 'renew', 'revoke', 'log in'])
  })

  it('is not believed to be gone while it is let in', async () => {
    const staying = login([], { logIn: () => Promise.resolve(nobody) })
    expect(await found(deployment([target(() => Promise.resolve(staying))]))).toContain(
      'fail target shop role read_only: the login v-one was not revoked, or is still there: the revoked login is still let in',
    )
  })

  it('is revoked though nobody could log in with it', async () => {
    const happened: string[] = []
    const logIn = vi
      .fn<TrialLogin['logIn']>()
      .mockRejectedValueOnce(new Error('no route'))
      .mockResolvedValueOnce('refused')
    const findings = await found(
      deployment([target(() => Promise.resolve(login(happened, { logIn })))]),
    )
    expect(findings).toContain(
      'fail target shop role read_only: nobody could log in with what was issued: no route',
    )
    expect(happened).toEqual(['revoke'])
  })

  it('is left alone where others use the same role', async () => {
    const happened: string[] = []
    const shared = login(happened, { roles: 'shared', renewable: false })
    expect(await found(deployment([target(() => Promise.resolve(shared))]))).toEqual([clear])
    expect(happened).toEqual(['log in'])
  })

  it('is warned of where it cannot be renewed', async () => {
    const brief = login([], { renewable: false })
    expect(await found(deployment([target(() => Promise.resolve(brief))]))).toContain(
      'warn target shop role read_only: its lease cannot be renewed: sessions end with it',
    )
  })

  it('is revoked when the operator stops the doctor in the middle', async () => {
    const happened: string[] = []
    const stopping = new AbortController()
    const logIn = vi
      .fn<TrialLogin['logIn']>()
      .mockImplementationOnce(() => {
        stopping.abort()
        return new Promise<never>(() => undefined)
      })
      .mockResolvedValueOnce('refused')
    const issued = login(happened, { logIn })
    const findings = await found(
      deployment([target(() => Promise.resolve(issued))]),
      circumstances(stopping.signal),
    )
    expect(findings).toEqual([clear])
    expect(happened).toEqual(['revoke'])
  })

  it('is revoked when it comes after the operator has stopped the doctor', async () => {
    const happened: string[] = []
    const stopping = new AbortController()
    const issue = async () => {
      stopping.abort()
      await sleep(20)
      return login(happened)
    }
    await found(deployment([target(issue)]), circumstances(stopping.signal))
    expect(happened).toEqual(['revoke', 'log in'])
  })
})

describe('what hangs on something that has failed', () => {
  const never = () => {
    throw new Error('this was not to be tried')
  }

  it('is not tried without a server of the target', async () => {
    const server = {
      name: 'db:5432',
      mode: 'disable',
      probe: () => Promise.reject(new Error('no route')),
    }
    const findings = await found(deployment([target(never, { servers: [server] })]))
    expect(findings.slice(1)).toEqual(['fail target shop at db:5432: no route'])
  })

  it('is not tried without Vault, and that is said', async () => {
    const read = () => Promise.reject(new Error('permission denied'))
    expect((await found(deployment([target(never)], vault({ read })))).slice(1)).toEqual([
      'fail vault login by approle: permission denied',
      'fail target shop: its logins come from Vault, and were not tried',
    ])
  })

  it('is tried where it does not hang on it', async () => {
    const happened: string[] = []
    const read = () => Promise.reject(new Error('permission denied'))
    const broker = target(() => Promise.resolve(login(happened)), { needsVault: false })
    await found(deployment([broker], vault({ read })))
    expect(happened).toContain('revoke')
  })
})

describe('the token of Vault', () => {
  async function said(more: object): Promise<readonly string[]> {
    const read = () => Promise.resolve({ ...token, ...more })
    return (await found(deployment([], vault({ read })))).slice(1)
  }

  it.each([
    ['is used up', { num_uses: 3 }, 'fail', /can be used 3 more times only/],
    ['is one of a batch', { type: 'batch', period: 0 }, 'warn', /a batch token cannot be renewed/],
    ['cannot be renewed', { renewable: false }, 'warn', /cannot be renewed: in 1 d/],
    ['has a max TTL', { period: 0 }, 'warn', /has no period/],
    ['may do anything', { policies: ['root'] }, 'warn', /it is a root token/],
  ])('that %s is found', async (_, more, result, what) => {
    const [line] = await said(more)
    expect(line).toMatch(what)
    expect(line).toMatch(new RegExp(`^${result}`))
  })

  it('that never ends is as good as a periodic one', async () => {
    expect(await said({ ttl: 0, period: 0, renewable: false })).toEqual([])
    expect(await said({})).toEqual([])
  })
})

describe('clocks and room', () => {
  it('are told of when they are not as they should be', async () => {
    const { premises, ...rest } = deployment([])
    const unwell: Deployment = {
      ...rest,
      vault: undefined,
      premises: {
        ...premises,
        journal: { directory: '/journal', probe: () => Promise.resolve(1024 ** 2) },
        store: () =>
          Promise.resolve({ pending: ['0009-x'], later: [], mayMigrate: false, time: -day }),
      },
    }
    expect(await found(unwell)).toEqual([
      'warn journal: /journal can be written; 0.0 GiB are free',
      'fail store: its schema lacks 0009-x, and our login may not make that',
      expect.stringMatching(/^warn store: its clock and ours are \d+ s apart/),
    ])
  })
})

describe('a look', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('that nobody answers is given up', async () => {
    const looking = within(
      circumstances(),
      'waiting',
      5_000,
      () => new Promise<never>(() => undefined),
    )
    const given = expect(looking).rejects.toThrow('no answer within 5 s')
    await vi.advanceTimersByTimeAsync(5_000)
    await given
  })
})

describe('a sentence', () => {
  it('has what is for the log, once, and the advice is the failure’s own', () => {
    const cause = new AggregateError([new Error('db1: refused'), new Error('db2: refused')])
    const failure = new Failure(
      'cannot_connect_now',
      { message: 'no server', detail: 'one\ntwo', hint: 'Look there.' },
      { cause },
    )
    expect(sentence(failure)).toBe('no server: one; two: db1: refused; db2: refused')
    expect(sentence(new Error('no server', { cause: failure }))).toBe(
      'no server: no server: one; two: db1: refused; db2: refused',
    )
    expect(fail('x', failure)).toMatchObject({ advice: 'Look there.' })
  })
})
