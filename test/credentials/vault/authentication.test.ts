import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type AuthSettings, authentication } from '../../../src/credentials/vault/authentication.ts'
import { VaultProblem } from '../../../src/credentials/vault/problem.ts'
import type { Answer, Auth, Question } from '../../../src/credentials/vault/question.ts'
import { Secret } from '../../../src/secret.ts'
import { problemFrom } from '../../support/vault-in-memory.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-vault-login-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = join(directory, 'credential')
beforeEach(() => writeFileSync(file, 'in-the-file\n'))

const auth: Auth = { token: new Secret('fresh'), leaseMs: 60_000, renewable: true }
const empty: Answer = { data: {}, leaseId: '', leaseMs: 0, renewable: false, auth: undefined }

/** What was asked of Vault, and answered with `answers` by path; logins by default with a token. */
function vault(answers: Readonly<Record<string, Partial<Answer> | VaultProblem>> = {}): {
  readonly asked: Question[]
  ask(question: Question): Promise<Answer>
} {
  const asked: Question[] = []
  return {
    asked,
    ask: (question) => {
      asked.push(question)
      const answer = answers[question.path] ?? { auth }
      return answer instanceof VaultProblem
        ? Promise.reject(answer)
        : Promise.resolve({ ...empty, ...answer })
    },
  }
}

const appRole: AuthSettings = {
  method: 'approle',
  mount: 'approle',
  roleId: new Secret('our-role'),
  secretIdFile: file,
  wrapped: false,
}

describe('a login', () => {
  it.each<[string, AuthSettings, string, object]>([
    ['AppRole', appRole, 'auth/approle/login', { role_id: 'our-role', secret_id: 'in-the-file' }],
    [
      'Kubernetes',
      { method: 'kubernetes', mount: 'k8s/eu', role: 'pgwarden', tokenFile: file },
      'auth/k8s/eu/login',
      { role: 'pgwarden', jwt: 'in-the-file' },
    ],
    [
      'JWT',
      { method: 'jwt', mount: 'jwt', role: 'pgwarden', tokenFile: file },
      'auth/jwt/login',
      { role: 'pgwarden', jwt: 'in-the-file' },
    ],
    [
      'TLS certificate',
      { method: 'cert', mount: 'cert', role: 'pgwarden' },
      'auth/cert/login',
      { name: 'pgwarden' },
    ],
    [
      'TLS certificate of any role',
      { method: 'cert', mount: 'cert', role: undefined },
      'auth/cert/login',
      {},
    ],
  ])('by %s sends what the method wants, and no token', async (_, settings, path, body) => {
    const { asked, ask } = vault()
    const granted = await authentication(settings).obtain(ask)
    expect(asked).toEqual([{ method: 'POST', path, body }])
    expect(granted).toMatchObject({ leftMs: 60_000, fullMs: 60_000, renewable: true })
    expect(granted.token.reveal()).toBe('fresh')
  })

  it('reads its file each time, since somebody else renews it', async () => {
    const { asked, ask } = vault()
    const subject = authentication(appRole)
    await subject.obtain(ask)
    writeFileSync(file, 'another')
    await subject.obtain(ask)
    expect(asked.map(({ body }) => body)).toMatchObject([
      { secret_id: 'in-the-file' },
      { secret_id: 'another' },
    ])
  })

  it.each([
    ['', 'holds no token'],
    ['two words', 'holds no token'],
    ['line\r\nX-Injected: yes', 'holds no token'],
  ])(
    'names the file that cannot be what it should be, and not what it holds: %j',
    async (text, why) => {
      writeFileSync(file, text)
      const problem = await problemFrom(authentication(appRole).obtain(vault().ask))
      expect(problem).toMatchObject({ kind: 'unauthenticated' })
      expect(problem?.message).toContain(file)
      expect(problem?.message).toContain(why)
      expect(problem?.message).not.toContain('Injected')
    },
  )

  it('names the file that is not there', async () => {
    const settings = { ...appRole, secretIdFile: join(directory, 'nowhere') }
    const problem = await problemFrom(authentication(settings).obtain(vault().ask))
    expect(problem?.message).toContain('nowhere cannot be read (ENOENT)')
  })

  it('fails when Vault gives no token', async () => {
    const { ask } = vault({ 'auth/approle/login': {} })
    expect(await problemFrom(authentication(appRole).obtain(ask))).toMatchObject({
      kind: 'failing',
    })
  })
})

describe('a wrapped secret id', () => {
  const wrapped = { ...appRole, wrapped: true }
  const wrapping = (creation_path: string): Record<string, Partial<Answer>> => ({
    'sys/wrapping/lookup': { data: { creation_path } },
    'sys/wrapping/unwrap': { data: { secret_id: 'unwrapped' } },
  })
  const ours = 'auth/approle/role/pgwarden/secret-id'

  it('is taken out once, after a look at where it comes from, and stays in memory', async () => {
    const { asked, ask } = vault(wrapping(ours))
    const subject = authentication(wrapped)
    await subject.obtain(ask)
    await subject.obtain(ask)
    expect(asked.map(({ path }) => path)).toEqual([
      'sys/wrapping/lookup',
      'sys/wrapping/unwrap',
      'auth/approle/login',
      'auth/approle/login',
    ])
    expect(asked[1]?.token?.reveal()).toBe('in-the-file')
    for (const login of asked.slice(2)) expect(login.body).toMatchObject({ secret_id: 'unwrapped' })
    expect(inspect(subject, { depth: 9, showHidden: true })).not.toContain('unwrapped')
  })

  it('is taken out again when another lies there', async () => {
    const { asked, ask } = vault(wrapping(ours))
    const subject = authentication(wrapped)
    await subject.obtain(ask)
    writeFileSync(file, 'another-wrapping-token')
    await subject.obtain(ask)
    expect(asked.filter(({ path }) => path.endsWith('unwrap'))).toHaveLength(2)
  })

  it.each([
    'auth/other/role/pgwarden/secret-id',
    'auth/approle/role/a/b/secret-id',
    'auth/approle/role/pgwarden/role-id',
    'cubbyhole/auth/approle/role/pgwarden/secret-id',
    'sys/wrapping/wrap',
    '',
  ])('is not touched when it was made elsewhere: %s', async (path) => {
    const { asked, ask } = vault(wrapping(path))
    const problem = await problemFrom(authentication(wrapped).obtain(ask))
    expect(problem).toMatchObject({ kind: 'unauthenticated' })
    expect(problem?.message).toContain('somebody may have exchanged it')
    expect(asked).toHaveLength(1)
  })

  it.each(['sys/wrapping/lookup', 'sys/wrapping/unwrap'])(
    'that somebody has taken out before us is said aloud: %s refuses',
    async (path) => {
      const used = new VaultProblem('invalid', 'status 400')
      const { ask } = vault({ ...wrapping(ours), [path]: used })
      const problem = await problemFrom(authentication(wrapped).obtain(ask))
      expect(problem).toMatchObject({ kind: 'unauthenticated' })
      expect(problem?.message).toContain('by somebody who has the secret id now')
      expect(problem?.message).not.toContain('in-the-file')
    },
  )

  it('is waited for while Vault is sealed', async () => {
    const sealed = new VaultProblem('sealed', 'status 503')
    const { ask } = vault({ 'sys/wrapping/lookup': sealed })
    expect(await problemFrom(authentication(wrapped).obtain(ask))).toBe(sealed)
  })
})
