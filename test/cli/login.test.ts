import { EventEmitter } from 'node:events'
import { writeFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Fetch } from '../../src/client/exchange.ts'
import { type Ended, pgwarden, type Surroundings } from '../support/command-line.ts'
import { ControlPlane, json } from '../support/control-plane.ts'
import { DeviceProvider, issuer } from '../support/device-provider.ts'

const server = 'https://warden.test'
let plane: ControlPlane
let provider: DeviceProvider
let home: string
let file: string
let now: number
/** What the control plane was shown. */
let shown: (string | null)[]

beforeEach(async () => {
  provider = new DeviceProvider()
  plane = new ControlPlane()
  shown = []
  now = Date.now()
  plane.instead = ({ path, headers }) => {
    shown.push(headers.get('authorization'))
    if (path === 'login') return json(200, { issuer, clientId: 'cli', scopes: ['groups'] })
    headers.set('authorization', 'Bearer pgk_test_secret')
    return undefined
  }
  home = await mkdtemp(join(tmpdir(), 'pgwarden-home-'))
  file = join(home, 'pgwarden', 'credentials.json')
})
afterEach(() => rm(home, { recursive: true, force: true }))

const fetchBoth: Fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input)
  return provider.answer(url, init?.body) ?? plane.fetch(input, init)
}

function run(words: readonly string[], more: Surroundings = {}): Promise<Ended> {
  return pgwarden(
    words,
    {},
    {
      env: { XDG_CONFIG_HOME: home },
      outside: {
        fetch: fetchBoth,
        pause: () => setImmediate(),
        clock: { now: () => now, elapsed: () => now },
        programs: { has: () => Promise.resolve(true), run: () => Promise.resolve(0) },
      },
      ...more,
    },
  )
}

const kept = async (): Promise<unknown> => JSON.parse(await readFile(file, 'utf8'))

describe('login', () => {
  it('shows where to go and the code, and keeps what the provider gives', async () => {
    const { status, stdout, stderr } = await run(['login', server])
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toBe(
      `To log in to ${server}, open\n  ${issuer}/activate\nand enter the code WDJB-MJHT\n` +
        `Logged in to ${server} as alice.\n`,
    )
    expect(shown).toEqual([null, 'Bearer head.body-1.signature'])
  })

  it('asks for a login that outlives its first token', async () => {
    await run(['login', server])
    const device = provider.asked.find(({ path }) => path === '/device')
    expect(device?.form.get('scope')).toBe('openid groups offline_access')
    expect(device?.form.get('client_id')).toBe('cli')
  })

  it('leaves a file that nobody else can read, and nothing beside it', async () => {
    await run(['login', server])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(dirname(file))).mode & 0o777).toBe(0o700)
    expect(await readdir(dirname(file))).toEqual(['credentials.json'])
  })

  it('is what the next command uses, without saying the server again', async () => {
    await run(['login', server])
    const { status } = await run(['whoami'])
    expect(status).toBe(0)
    expect(shown.at(-1)).toBe('Bearer head.body-1.signature')
  })

  it('is shown to its own server and to no other', async () => {
    await run(['login', server])
    shown = []
    const { status, stderr } = await run(['whoami', '--url', 'https://other.test'])
    expect(status).toBe(3)
    expect(stderr).toContain('not logged in to https://other.test')
    expect(shown).toEqual([])
  })

  it.each([
    { refusal: 'access_denied', says: 'the login was refused at the identity provider' },
    { refusal: 'expired_token', says: 'nobody entered the code in time' },
  ])('that ends with $refusal is none: status 3', async ({ refusal, says }) => {
    provider.refusal = refusal
    const { status, stderr } = await run(['login', server])
    expect(status).toBe(3)
    expect(stderr).toContain(says)
    await expect(kept()).rejects.toThrow('ENOENT')
  })

  it('can be broken off', async () => {
    provider.patience = Number.MAX_SAFE_INTEGER
    const signals = new EventEmitter()
    const ended = run(['login', server], { signals })
    while (!provider.asked.some(({ path }) => path === '/token')) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    signals.emit('SIGINT')
    const { status, stderr } = await ended
    expect(status).toBe(3)
    expect(stderr).toContain('the login was broken off')
  })

  it('shows the control plane no token that says nothing to it', async () => {
    provider.jwts = false
    await run(['login', server])
    // Without an ID token there is nothing better.
    expect(shown.at(-1)).toBe('Bearer opaque')
  })

  it('of a server without an identity provider says what to use', async () => {
    plane.instead = () => json(200, {})
    const { status, stderr } = await run(['login', server])
    expect(status).toBe(3)
    expect(stderr).toContain('has no identity provider to log in at')
    expect(stderr).toContain('PGWARDEN_API_KEY')
  })

  it('says that an API key goes before it', async () => {
    const env = { XDG_CONFIG_HOME: home, PGWARDEN_API_KEY: 'pgk_x' }
    const { stderr } = await run(['login', server], { env })
    expect(stderr).toContain('PGWARDEN_API_KEY is set, and goes before this login.')
  })

  it('happens by itself where a person runs psql', async () => {
    plane.grant()
    const words = ['psql', 'shop', '--url', server]
    const { status, stderr } = await run(words, { tty: true })
    expect(status).toBe(0)
    expect(stderr).toContain('WDJB-MJHT')
    expect(stderr).toContain('Grant g1')
  })
})

describe('a login whose token is over', () => {
  beforeEach(async () => {
    await run(['login', server])
    now += 595_000
    shown = []
  })

  it('is refreshed without a word, and kept so', async () => {
    const first = await run(['whoami'])
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(shown).toEqual(['Bearer head.body-2.signature'])
    now += 595_000
    expect((await run(['whoami'])).status).toBe(0)
    expect(shown.at(-1)).toBe('Bearer head.body-3.signature')
  })

  it('that the provider has ended asks for another one: status 3', async () => {
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace('refresh-1', 'refresh-0'))
    const { status, stderr } = await run(['whoami'])
    expect(status).toBe(3)
    expect(stderr).toContain(`your login has ended at ${server}`)
    expect(shown).toEqual([])
  })

  it('is not over when another command has refreshed it a moment before', async () => {
    const before = await readFile(file, 'utf8')
    await run(['whoami'])
    const after = await readFile(file, 'utf8')
    await writeFile(file, before)
    // The other command writes while this one is told that its refresh token was used before.
    const answer = provider.answer.bind(provider)
    provider.answer = (url, body) => {
      const response = answer(url, body)
      if (url.pathname === '/token') writeFileSync(file, after)
      return response
    }
    expect((await run(['whoami'])).status).toBe(0)
    expect(shown.at(-1)).toBe('Bearer head.body-2.signature')
  })
})

describe('the file of logins', () => {
  it('is refused when others can read it', async () => {
    await run(['login', server])
    await chmod(file, 0o640)
    shown = []
    const { status, stderr } = await run(['whoami'])
    expect(status).toBe(1)
    expect(stderr).toContain('others can read or change it')
    expect(stderr).toContain(`chmod 600 ${file}`)
    expect(shown).toEqual([])
  })

  it.each(['{', '{"version":2}'])('that holds %s is not used', async (text) => {
    await mkdir(dirname(file), { mode: 0o700 })
    await writeFile(file, text, { mode: 0o600 })
    const { status, stderr } = await run(['whoami'])
    expect(status).toBe(1)
    expect(stderr).toContain('Remove it and log in again.')
  })

  it('is in the home directory where nothing else is said', async () => {
    await run(['login', server], { env: { HOME: home } })
    await stat(join(home, '.config', 'pgwarden', 'credentials.json'))
  })
})

describe('logout', () => {
  it('forgets the login, and tells the provider', async () => {
    await run(['login', server])
    const { status, stderr } = await run(['logout'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: `Logged out of ${server}.\n` })
    expect(provider.asked.at(-1)?.form.get('token')).toBe('refresh-1')
    expect(await kept()).toEqual({ version: 1, servers: {} })
    expect((await run(['whoami', '--url', server])).status).toBe(3)
  })

  it('forgets it where the provider cannot be told, and says so', async () => {
    await run(['login', server])
    provider.answer = (url) =>
      url.origin === issuer ? new Response(null, { status: 503 }) : undefined
    const { status, stderr } = await run(['logout'])
    expect(status).toBe(1)
    expect(stderr).toContain(`the identity provider ${issuer} cannot be asked`)
    expect(await kept()).toEqual({ version: 1, servers: {} })
  })
})
