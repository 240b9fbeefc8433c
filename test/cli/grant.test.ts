import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import type { GrantStanding, Operations, Revocation } from '../../src/cli/operations.ts'
import { Failure } from '../../src/errors.ts'
import { pgwarden } from '../support/command-line.ts'

const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  startsAt: Date.UTC(2030, 0, 2, 3),
  endsAt: Date.UTC(2030, 0, 2, 4),
  revokedAt: undefined,
  reason: 'wrong total',
  requestId: undefined,
  relations: undefined,
  claims: {},
}
const gone = { id: 'l1', engine: 'broker', databaseRole: 'pgw_g1_x', ended: 'confirmed' } as const
const open = { id: 'l2', engine: 'vault-dynamic', databaseRole: 'v-1', ended: undefined } as const
const unseen = { ...open, id: 'l3', ended: 'unconfirmed' } as const

type Request = Parameters<Operations['revokeGrant']>[0]

function revoking(outcome: Partial<Revocation>, requests: Request[] = []): Partial<Operations> {
  return {
    revokeGrant: (request) => {
      requests.push(request)
      request.onWaiting({ left: 2, tookMs: 1_200 })
      const revokedAt = Date.UTC(2030, 0, 2, 3, 30)
      return Promise.resolve({ grant, revokedAt, told: true, logins: [], tookMs: 412, ...outcome })
    },
  }
}

const words = (more: readonly string[] = []) => [
  ...['grant', 'revoke', '--config', 'f', 'g1', '--reason', 'laptop stolen', ...more],
]

describe('grant revoke', () => {
  it('says what was confirmed and how long it took', async () => {
    const requests: Request[] = []
    const ended = await pgwarden(words(), revoking({ logins: [gone] }, requests))
    expect(ended).toEqual({
      status: 0,
      stdout:
        'Grant g1 of alice (read_only on shop) is revoked.\n' +
        '  pgw_g1_x (broker): gone, and seen to be gone\n' +
        '1 login confirmed to be gone after 0.4 s.\n',
      stderr: '',
    })
    expect(requests).toMatchObject([
      { configFile: 'f', grantId: 'g1', reason: 'laptop stolen', waitMs: 30_000 },
    ])
  })

  it('says so when no login was out', async () => {
    const { status, stdout } = await pgwarden(words(), revoking({}))
    expect(status).toBe(0)
    expect(stdout).toContain('No login was out.')
  })

  it.each([
    ['is not known to be gone', open, 'not known to be gone yet'],
    ['nobody could look at', unseen, 'nobody could look whether its sessions are gone'],
  ])('fails when a login %s, and says which', async (_, login, text) => {
    const { status, stdout } = await pgwarden(words(), revoking({ logins: [gone, login] }))
    expect(status).toBe(1)
    expect(stdout).toContain(`v-1 (vault-dynamic): `)
    expect(stdout).toContain(text)
    expect(stdout).toContain('NOT everything is confirmed after 0.4 s.')
    expect(stdout).toContain('What to do:')
  })

  it('says when the proxies could not be told', async () => {
    const { stdout } = await pgwarden(words(), revoking({ told: false }))
    expect(stdout).toContain('The proxies could not be told')
  })

  it('waits as long as it is asked to, and shows at a terminal for what', async () => {
    const requests: Request[] = []
    const { stderr } = await pgwarden(words(['--wait', '5m']), revoking({}, requests), {
      tty: true,
    })
    expect(requests).toMatchObject([{ waitMs: 300_000 }])
    expect(stderr).toContain('waiting for 2 logins to be gone: 1 s')
  })

  it('gives programs one JSON object', async () => {
    const { status, stdout } = await pgwarden(
      words(['--json']),
      revoking({ logins: [gone, open, unseen] }),
    )
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      grant: 'g1',
      principal: 'alice',
      target: 'shop',
      role: 'read_only',
      revokedAt: '2030-01-02T03:30:00.000Z',
      confirmed: false,
      told: true,
      seconds: 0.412,
      logins: [
        { lease: 'l1', engine: 'broker', databaseRole: 'pgw_g1_x', state: 'confirmed' },
        { lease: 'l2', engine: 'vault-dynamic', databaseRole: 'v-1', state: 'open' },
        { lease: 'l3', engine: 'vault-dynamic', databaseRole: 'v-1', state: 'unconfirmed' },
      ],
    })
  })

  it('fails with the sentence when there is nothing to revoke', async () => {
    const { status, stderr } = await pgwarden(words(), {
      revokeGrant: () =>
        Promise.reject(
          new Failure('invalid_parameter', { message: 'grant g1 was revoked already' }),
        ),
    })
    expect(status).toBe(1)
    expect(stderr).toContain('grant g1 was revoked already')
  })

  it('is refused without a reason', async () => {
    const { status, stderr } = await pgwarden(['grant', 'revoke', '--config', 'f', 'g1'])
    expect(status).toBe(2)
    expect(stderr).toContain("required option '--reason <text>' not specified")
  })
})

describe('grant list', () => {
  const listing = (...known: GrantStanding[]): Partial<Operations> => ({
    listGrants: ({ all }) => {
      const grants = known.filter(({ standing }) => all || standing === 'in_force')
      return Promise.resolve({ grants, more: false })
    },
  })
  const inForce: GrantStanding = { ...grant, standing: 'in_force', openLeases: 2 }
  const over: GrantStanding = {
    ...grant,
    ...{ id: 'g0', revokedAt: Date.UTC(2030, 0, 2, 3, 30), standing: 'revoked', openLeases: 1 },
    reason: 'a\u001b[2Jtrap',
  }

  it('shows each grant with its end, its open logins and its reason', async () => {
    const { status, stdout } = await pgwarden(['grant', 'list', '--config', 'f'], listing(inForce))
    expect(status).toBe(0)
    expect(stdout).toBe(
      'g1  alice: read_only on shop, until 2030-01-02T04:00:00Z, 2 logins open  (wrong total)\n',
    )
  })

  it('shows what is over where that is asked for, and lets no reason act on the terminal', async () => {
    const { stdout } = await pgwarden(
      ['grant', 'list', '--config', 'f', '--all'],
      listing(inForce, over),
    )
    expect(stdout).toContain(
      'g0  alice: read_only on shop, revoked 2030-01-02T03:30:00Z, 1 login open  (a\\u{1b}[2Jtrap)',
    )
  })

  it('gives programs a JSON object a line', async () => {
    const { stdout } = await pgwarden(
      ['grant', 'list', '--config', 'f', '--all', '--json'],
      listing(inForce, over),
    )
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(lines).toMatchObject([
      { grant: 'g1', standing: 'in_force', endsAt: '2030-01-02T04:00:00.000Z', openLeases: 2 },
      { grant: 'g0', standing: 'revoked', revokedAt: '2030-01-02T03:30:00.000Z' },
    ])
  })

  it('says when it does not show all', async () => {
    const { stderr } = await pgwarden(['grant', 'list', '--config', 'f'], {
      listGrants: () => Promise.resolve({ grants: [inForce], more: true }),
    })
    expect(stderr).toBe('These are the newest 1; there are more.\n')
  })

  it('says so where there is none', async () => {
    const { status, stdout, stderr } = await pgwarden(['grant', 'list', '--config', 'f'], listing())
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toContain('Nobody has access')
  })
})
