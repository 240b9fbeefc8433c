import { describe, expect, it } from 'vitest'
import type { Connection } from '../../src/access/connection-lines.ts'
import type { Operations, TokenRequest } from '../../src/cli/operations.ts'
import { Secret } from '../../src/secret.ts'
import { pgwarden } from '../support/command-line.ts'

const connection: Connection = {
  host: '127.0.0.1',
  port: 6432,
  database: 'shop',
  user: 'alice',
  sslmode: 'disable',
}

function issuing(requests: TokenRequest[], where: Connection = connection): Partial<Operations> {
  return {
    issueToken: async (request) => {
      requests.push(request)
      return {
        token: new Secret('pgw_id_secret'),
        tokenId: 'id',
        grantId: 'g1',
        endsAt: Date.UTC(2030, 0, 2, 3, 4, 5),
        redeemBy: Date.UTC(2030, 0, 2, 2),
        connection: where,
      }
    },
  }
}

const words = (more: readonly string[] = []) => [
  ...['token', 'issue', '--config', 'f', '--principal', 'alice', '--target', 'shop'],
  ...['--role', 'read_only', '--for', '1h30m', '--reason', 'a look', ...more],
]

describe('token issue', () => {
  it('prints the psql line alone on stdout, and the terms beside it', async () => {
    const requests: TokenRequest[] = []
    const { status, stdout, stderr } = await pgwarden(words(), issuing(requests))
    expect(status).toBe(0)
    expect(requests).toEqual([
      {
        ...{ configFile: 'f', principal: 'alice', target: 'shop', role: 'read_only' },
        ...{ forMs: 5_400_000, kind: 'one-time', reason: 'a look' },
      },
    ])
    expect(stdout).toBe(
      'psql "host=127.0.0.1 port=6432 dbname=shop user=alice password=pgw_id_secret sslmode=disable"\n',
    )
    expect(stderr).toBe(
      'Grant g1 for alice: read_only on shop until 2030-01-02T03:04:05Z.\n' +
        'The token is good for one sitting from one address, to be begun by 2030-01-02T02:00:00Z.\n' +
        'The user name alice/id means this token and no other.\n',
    )
  })

  it('quotes a name so that neither psql nor the shell takes it apart', async () => {
    const odd = { ...connection, user: "o'neil $(reboot)" }
    const { stdout } = await pgwarden(words(), issuing([], odd))
    expect(stdout).toContain(`user='\\''o\\'\\''neil $(reboot)'\\''`)
    expect(stdout).toMatch(/^psql '/)
  })

  it.each(['0h', '1', 'h', '1w', '-1h', '1h 30m', ''])(
    'refuses the duration "%s"',
    async (text) => {
      const { status, stderr } = await pgwarden([...words(), '--for', text])
      expect(status).toBe(2)
      expect(stderr).toContain('A duration is written like 30m, 8h, 1h30m or 2d.')
    },
  )

  it.each(['single-use', 'reusable'] as const)(
    'issues a %s token when asked for one',
    async (kind) => {
      const requests: TokenRequest[] = []
      const { status } = await pgwarden(words(['--kind', kind]), issuing(requests))
      expect(status).toBe(0)
      expect(requests).toMatchObject([{ kind }])
    },
  )

  it('refuses a kind of token that does not exist', async () => {
    const { status, stderr } = await pgwarden(words(['--kind', 'eternal']))
    expect(status).toBe(2)
    expect(stderr).toContain('Allowed choices are one-time, single-use, reusable.')
  })
})
