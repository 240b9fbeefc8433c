import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { openVault, type Vault, type VaultSettings } from '../../src/credentials/vault/vault.ts'
import { Secret } from '../../src/secret.ts'
import { FakeVault } from '../support/fake-vault.ts'

const ends: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function fakeVault(): Promise<FakeVault> {
  const fake = await FakeVault.start()
  ends.push(() => fake.stop())
  return fake
}

function client(fake: FakeVault, settings: Partial<VaultSettings> = {}): Vault {
  const vault = openVault(
    {
      addresses: [fake.address],
      namespace: undefined,
      tls: { ca: undefined, serverName: undefined, client: undefined },
      auth: { method: 'token', token: new Secret(fake.state.newToken()) },
      timeoutMs: 1_000,
      waitForMs: 1_000,
      ...settings,
    },
    {
      clock: systemClock,
      observer: { asked: () => {}, breaker: () => {}, tokenEnds: () => {}, problem: () => {} },
    },
  )
  ends.push(() => vault.stop())
  return vault
}

describe('x', () => {
  it('reads', async () => {
    const fake = await fakeVault()
    const vault = client(fake)
    const creds = await vault.read('database/creds/shop ro')
    expect(creds).toMatchObject({
      leaseMs: expect.closeTo(3_600_000, -2),
      renewable: true,
      token: { endsAt: undefined },
    })
    expect(fake.received.map(({ url }) => url)).toEqual([
      '/v1/auth/token/lookup-self',
      '/v1/database/creds/shop%20ro',
    ])
    await vault.write('sys/leases/revoke', { lease_id: creds.leaseId })
    expect(fake.state.leases.size).toBe(0)
    await vault.check()
  })
})
