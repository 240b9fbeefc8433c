// pgwarden doctor on a target whose logins come from Vault: a sound one, and each part of the way to a
// login broken by itself. With a real Vault, over TLS.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { certify } from '../support/certificates.ts'
import { Deployment, lines } from '../support/deployment.ts'
import { freePort } from '../support/ports.ts'
import { describeWithOwnVault, startOwnVault } from '../support/vault.ts'
import { createLogin, type VaultDatabase, vaultFor } from '../support/vault-database.ts'
import type { OwnVault } from '../support/vault-process.ts'

describeWithOwnVault('a target whose logins come from Vault', () => {
  let deployment: Deployment
  let vault: OwnVault
  let mounted: VaultDatabase
  let settings: Readonly<Record<string, unknown>>
  let appRole: Readonly<Record<string, unknown>>

  beforeAll(async () => {
    deployment = await Deployment.make(inject('adminUrl'))
    vault = await startOwnVault({ tls: 'offered' })
    const { monitor } = deployment.roles
    mounted = await vaultFor(vault, deployment.target.url, {
      dynamic: {
        reader: {},
        staying: { revocation: ['select 1'] },
        powerful: { creation: [`${createLogin} superuser`] },
      },
      static: { monitor },
    })
    await vault.request('PUT', `sys/policies/acl/${mounted.policy}`, { policy: policy('reader') })
    await vault.request('POST', `auth/${mounted.approle}/role/pgwarden`, {
      token_policies: mounted.policy,
      token_period: '1h',
    })
    await writeFile(join(deployment.directory, 'secret-id'), mounted.secretId)
    appRole = {
      method: 'approle',
      mount: mounted.approle,
      roleId: mounted.roleId,
      secretIdFile: 'secret-id',
    }
    settings = {
      addresses: [vault.address],
      tls: { ca: vault.tls?.caFile },
      auth: appRole,
      timeout: '2s',
      waitFor: '0s',
    }
  })
  afterAll(async () => {
    await vault.stop()
    // What Vault did not drop any more.
    await deployment.sql(`do $$ declare name text; begin
      for name in select rolname from pg_roles where rolname like 'v-%' loop
        execute format('drop owned by %1$I; drop role %1$I', name);
      end loop; end $$`)
    await deployment.remove()
  })

  /** All that is needed for one role. */
  function policy(role: string): string {
    const { database } = mounted
    return [
      ...[`${database}/creds/${role}`, `${database}/static-creds/monitor`].map(
        (path) => `path "${path}" { capabilities = ["read"] }`,
      ),
      ...['renew', 'revoke'].map(
        (what) => `path "sys/leases/${what}" { capabilities = ["update"] }`,
      ),
    ].join('\n')
  }

  /** With a Vault role, and settings of the section `vault` that differ. */
  function examined(role = 'reader', differing: object = {}) {
    const { database } = mounted
    const credentials = {
      vault: { mount: database, roles: { read_only: role } },
      monitor: { vault: { engine: 'static', mount: database, role: 'monitor' } },
    }
    return deployment.examined({ credentials }, { vault: { ...settings, ...differing } })
  }

  it('is found sound, and no lease stays behind', async () => {
    const findings = await examined()
    expect(lines(findings, 'warn', 'fail')).toEqual([])
    const { database, policy } = mounted
    const said = lines(findings, 'ok').join('\n')
    expect(said).toMatch(
      new RegExp(
        [
          `vault ${vault.address}: version .*, active`,
          `vault ${vault.address}: its certificate is valid until`,
          `vault login by approle: accepted; its policies are default, ${policy}`,
          'vault login by approle: the token is periodic, 1 h: it is renewed for ever',
          'vault policy: it allows all 6 paths that are needed',
          'target shop at .*',
          `target shop monitor: the login at ${database}/static-creds/monitor may see and end`,
          'target shop role read_only: a login was issued and taken \\(v-.*\\); it lasts 600 s',
          'target shop role read_only: it was revoked, and is gone',
        ].join('.*\n'),
      ),
    )
    expect(await mounted.leases('reader')).toEqual([])
  })

  it('is not in reach where nobody listens at an address, though another serves', async () => {
    const gone = `https://127.0.0.1:${await freePort()}`
    const findings = await examined('reader', { addresses: [gone, vault.address] })
    expect(lines(findings, 'fail')).toEqual([
      expect.stringMatching(
        new RegExp(`^vault ${gone}: .*ECONNREFUSED.* / Look at vault.addresses`),
      ),
    ])
    expect(lines(findings, 'ok').join()).toContain('it was revoked, and is gone')
  })

  it('is not tried where Vault is sealed', async () => {
    await vault.seal()
    try {
      expect(lines(await examined(), 'fail')).toEqual([
        `vault ${vault.address}: it is sealed / Unseal it: vault operator unseal`,
        expect.stringMatching(/^target shop: its logins come from Vault, and were not tried/),
      ])
    } finally {
      await vault.unseal()
    }
  })

  it('is not trusted with a certificate of another authority', async () => {
    const other = await certify('another authority', { isAuthority: true })
    await writeFile(join(deployment.directory, 'other-ca.crt'), other.certificate)
    const [first] = lines(await examined('reader', { tls: { ca: 'other-ca.crt' } }), 'fail')
    expect(first).toMatch(/^vault https.*certificate.* \/ .* write vault.tls.ca/)
  })

  it('has none with a secret id that Vault does not know', async () => {
    await writeFile(join(deployment.directory, 'other-id'), 'guessed-secret-id')
    const auth = { ...appRole, secretIdFile: 'other-id' }
    const [first] = lines(await examined('reader', { auth }), 'fail')
    expect(first).toMatch(
      /^vault login by approle: .*invalid.*secret.id.* \/ Look at the role id and the secret id/i,
    )
  })

  it('is told not to have tried a wrapped secret id, which is still good afterwards', async () => {
    const wrapping = await mounted.wrappedSecretId()
    await writeFile(join(deployment.directory, 'wrapped-id'), wrapping)
    const auth = { ...appRole, secretIdFile: 'wrapped-id', wrapped: true }
    const findings = await examined('reader', { auth })
    expect(lines(findings, 'fail')).toEqual([])
    const warnings = lines(findings, 'warn').join()
    expect(warnings).toContain('not tried: a wrapped secret id can be unwrapped once')
    expect(warnings).toContain('its logins come from Vault, and were not tried')
    const unwrapped = await vault.request('POST', 'sys/wrapping/unwrap', { token: wrapping })
    expect(unwrapped.data['secret_id']).toBeTypeOf('string')
  })

  it('says which line a policy lacks', async () => {
    const { database } = mounted
    const findings = lines(await examined('staying'), 'fail')
    expect(findings[0]).toBe(
      `vault policy: our token may not read ${database}/creds/staying, to get logins for read_only on shop` +
        ` / Add to its policy: path "${database}/creds/staying" { capabilities = ["read"] }`,
    )
    expect(findings[1]).toMatch(/^target shop role read_only: no login was issued: .*403/)
  })

  it('says that there is no such role in Vault', async () => {
    await vault.request('PUT', `sys/policies/acl/${mounted.policy}`, { policy: policy('nobody') })
    try {
      expect(lines(await examined('nobody'), 'fail')).toEqual([
        expect.stringMatching(/^target shop role read_only: no login was issued: .*unknown role/),
      ])
    } finally {
      await vault.request('PUT', `sys/policies/acl/${mounted.policy}`, { policy: policy('reader') })
    }
  })

  it('is not believed to have revoked a role that is still there', async () => {
    await vault.request('PUT', `sys/policies/acl/${mounted.policy}`, { policy: policy('staying') })
    try {
      expect(lines(await examined('staying'), 'fail')).toEqual([
        expect.stringMatching(
          /^target shop role read_only: the login v-.* was not revoked, or is still there: .*the role is still there/,
        ),
      ])
    } finally {
      await vault.request('PUT', `sys/policies/acl/${mounted.policy}`, { policy: policy('reader') })
    }
  })

  async function withToken(terms: object, role = 'reader'): Promise<readonly string[]> {
    const { auth } = await vault.request('POST', 'auth/token/create-orphan', terms)
    await writeFile(join(deployment.directory, 'token'), auth?.client_token ?? '')
    const way = { auth: { method: 'token', token: { file: 'token' } } }
    const found = lines(await examined(role, way), 'warn', 'fail')
    expect(deployment.said).not.toContain(auth?.client_token)
    return found.filter((line) => !line.startsWith('store'))
  }

  it.each([
    [
      'ends and cannot be renewed',
      { ttl: '1h', renewable: false },
      /cannot be renewed: in (59 min|1 h)/,
    ],
    ['ends at its max TTL', { ttl: '1h' }, /has no period: at its max TTL/],
    ['is a batch token', { ttl: '1h', type: 'batch' }, /a batch token cannot be renewed/],
  ])('is warned of a token that %s, and all logins with it', async (_, terms, why) => {
    const found = await withToken({ ...terms, policies: [mounted.policy] })
    expect(found[0]).toMatch(/^vault login by token/)
    expect(found[0]).toMatch(why)
  })

  it('is warned of a root token, and of a role that may do anything', async () => {
    const found = await withToken({ policies: ['root'] }, 'powerful')
    expect(found).toEqual([
      'vault login by token: it is a root token / Use one with the policy in docs/vault.md alone.',
      expect.stringMatching(/^target shop role read_only: its database role has SUPERUSER/),
    ])
  })

  it('never shows a secret', () => {
    expect(deployment.said).toContain('was revoked')
    for (const secret of [mounted.secretId, mounted.roleId, vault.rootToken, deployment.password]) {
      expect(deployment.said).not.toContain(secret)
    }
  })
})
