import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type AskServer,
  type Question,
  vaultServer,
} from '../../../src/credentials/vault/question.ts'
import type { HttpReply, HttpRequest } from '../../../src/credentials/vault/transport.ts'
import { Secret } from '../../../src/secret.ts'
import { problemFrom, status } from '../../support/vault-in-memory.ts'

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

const limits = { connectMs: 1, timeoutMs: 1 }
const good: HttpReply = { status: 200, retryAfter: undefined, body: '{"data":{"a":1}}' }

function server(
  reply: HttpReply = good,
  namespace?: string,
): { readonly ask: (question: Question) => ReturnType<AskServer>; readonly sent: HttpRequest[] } {
  const sent: HttpRequest[] = []
  const ask = vaultServer('https://vault.test:8200', namespace, {
    close: () => undefined,
    send: (request) => {
      sent.push(request)
      return Promise.resolve(reply)
    },
  })
  return { ask: (question) => ask(question, limits), sent }
}

const read = (path: string): Question => ({ method: 'GET', path, token: new Secret('our-token') })

describe('a question through node-vault', () => {
  it('takes nothing from the environment: no address, token, namespace, prefix, laxness', async () => {
    vi.stubEnv('VAULT_ADDR', 'http://evil.test')
    vi.stubEnv('VAULT_TOKEN', 'token-of-the-shell')
    vi.stubEnv('VAULT_NAMESPACE', 'elsewhere')
    vi.stubEnv('VAULT_PREFIX', '/prefix')
    vi.stubEnv('VAULT_SKIP_VERIFY', '1')
    const { ask, sent } = server()
    await ask({ method: 'POST', path: 'auth/approle/login', body: {} })
    await ask(read('secret/data/x'))
    expect(sent.map(({ url }) => url.href)).toEqual([
      'https://vault.test:8200/v1/auth/approle/login',
      'https://vault.test:8200/v1/secret/data/x',
    ])
    expect(JSON.stringify(sent)).not.toMatch(/token-of-the-shell|elsewhere|evil/)
    expect(sent[0]?.headers).not.toHaveProperty('X-Vault-Token')
    expect(sent[1]?.headers['X-Vault-Token']).toBe('our-token')
  })

  it('carries no token from one question to the next', async () => {
    const { ask, sent } = server()
    await ask(read('secret/data/x'))
    await ask({ method: 'GET', path: 'sys/health' })
    expect(sent[1]?.headers).not.toHaveProperty('X-Vault-Token')
  })

  it('keeps no token of an answer for itself', async () => {
    const login = { ...good, body: '{"auth":{"client_token":"fresh","lease_duration":60}}' }
    const { ask, sent } = server(login)
    const { auth } = await ask({ method: 'POST', path: 'auth/approle/login', body: {} })
    expect(auth?.token?.reveal()).toBe('fresh')
    await ask({ method: 'GET', path: 'sys/health' })
    expect(sent[1]?.headers).not.toHaveProperty('X-Vault-Token')
  })

  it('names the configured namespace', async () => {
    const { ask, sent } = server(good, 'team/databases')
    await ask(read('secret/data/x'))
    expect(sent[0]?.headers['X-Vault-Namespace']).toBe('team/databases')
  })

  it('sends a path’s names as names, whatever is in them', async () => {
    const { ask, sent } = server()
    await ask(read('secret/data/a b&#x2F;c?list=1#%2e%2e{{x}}'))
    expect(sent[0]?.url.href).toBe(
      'https://vault.test:8200/v1/secret/data/a%20b%26%23x2F%3Bc%3Flist%3D1%23%252e%252e%7B%7Bx%7D%7D',
    )
  })

  it.each(['', '/secret', 'secret/', 'a//b', 'secret/data/../../sys/seal', 'a/./b'])(
    'refuses a path that leads elsewhere: "%s"',
    async (path) => {
      const { ask, sent } = server()
      expect(await problemFrom(ask(read(path)))).toMatchObject({ kind: 'invalid' })
      expect(sent).toEqual([])
    },
  )

  it('takes a failure for one also under a path that contains sys/health', async () => {
    const { ask } = server(status(403, 'permission denied'))
    expect(await problemFrom(ask(read('secret/data/sys/health')))).toMatchObject({ kind: 'denied' })
  })

  it.each(['<html>', '[]', '"ok"', '{"lease_id":'])(
    'may have been obeyed when the answer is a success and reads %s',
    async (body) => {
      const { ask } = server({ status: 200, retryAfter: undefined, body })
      expect(await problemFrom(ask(read('database/creds/shop-ro')))).toMatchObject({
        kind: 'failing',
        unanswered: true,
      })
    },
  )

  it('takes 202 and 204 for a success', async () => {
    for (const code of [202, 204]) {
      const { ask } = server({ status: code, retryAfter: undefined, body: '' })
      const revoke: Question = { method: 'POST', path: 'sys/leases/revoke', body: {} }
      expect(await ask(revoke)).toEqual({
        data: {},
        leaseId: '',
        leaseMs: 0,
        renewable: false,
        auth: undefined,
      })
    }
  })

  it.each(['<html>', '"text"', '[1]', 'null'])(
    'does not take something else for a Vault: %s',
    async (body) => {
      const { ask } = server({ ...good, body })
      const problem = await problemFrom(ask(read('secret/data/x')))
      expect(problem).toMatchObject({ kind: 'failing' })
      expect(problem?.message).toContain('is this a Vault?')
    },
  )
})
