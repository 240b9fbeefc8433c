// The keeper of leases with an engine that does what it is told, in a time that passes when it is told to.

import { describe, expect, it } from 'vitest'
import { LeaseGone, NotIssued } from '../../src/credentials/engine.ts'
import { Failure } from '../../src/errors.ts'
import { LeaseRig, settled } from '../support/leases.ts'

const away = new Failure('cannot_connect_now', { message: 'Vault is away' })

function gate(): { readonly wait: () => Promise<void>; readonly open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { wait: () => opened, open }
}

describe('a lease', () => {
  it('is one for a hundred simultaneous logins of a grant', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const uses = await Promise.all(Array.from({ length: 100 }, () => leases.acquire(grant)))
    expect(new Set(uses.map(({ lease }) => lease.user))).toEqual(new Set(['login_1']))
    expect(rig.engine.heard('issue')).toHaveLength(1)
    expect(rig.store.open).toHaveLength(1)
  })

  it('is one for each session where the target is configured so, and gone with it', async () => {
    const rig = new LeaseRig()
    rig.share = 'session'
    const leases = rig.process()
    const grant = rig.grant()
    const [one, two] = await Promise.all([leases.acquire(grant), leases.acquire(grant)])
    expect(one.lease.user).not.toBe(two.lease.user)
    one.released()
    await settled()
    expect([...rig.engine.alive]).toEqual([two.lease.user])
    expect(rig.heard).toContain('revoked unused confirmed 0')
  })

  it('is in the store before it is asked for, and by its name before it is used', async () => {
    const rig = new LeaseRig()
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const using = rig.process().acquire(rig.grant())
    await settled()
    expect(rig.store.open).toMatchObject([
      { databaseRole: undefined, vaultLease: undefined, expiresAt: rig.clock.wall + 3_600_000 },
    ])
    open()
    const { lease } = await using
    expect(rig.store.open).toMatchObject([
      {
        databaseRole: lease.user,
        vaultLease: lease.vaultLease,
        expiresAt: rig.clock.wall + 60_000,
      },
    ])
  })

  it('is not asked for on a role that the target does not offer', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    await expect(leases.acquire(rig.grant(1, 'admin'))).rejects.toThrow('has no role "admin"')
    expect(rig.store.rows.size).toBe(0)
  })

  it('is asked for again after a failure, of which those hear who waited', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    rig.engine.issuing = () => Promise.reject(new NotIssued(away))
    const results = await Promise.allSettled([leases.acquire(grant), leases.acquire(grant)])
    expect(results).toEqual([
      { status: 'rejected', reason: away },
      { status: 'rejected', reason: away },
    ])
    expect(rig.store.open).toEqual([])
    rig.engine.issuing = () => Promise.resolve()
    await expect(leases.acquire(grant)).resolves.toBeDefined()
  })

  it('that may have been issued stays on record until it must have ended by itself', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    rig.engine.issuing = () => Promise.reject(away)
    await expect(leases.acquire(rig.grant(7_200_000))).rejects.toBe(away)
    await rig.beat([leases], 65)
    expect(rig.store.open).toHaveLength(1)
    expect(rig.orphans).toBe(1)
    expect(rig.engine.heard('revoke')).toEqual([])
    await rig.beat([leases], 3_600)
    expect([...rig.store.rows.values()]).toMatchObject([{ endedAs: 'unconfirmed' }])
    expect(rig.orphans).toBe(0)
    expect(rig.engine.heard('revoke')).toEqual([])
  })

  it('is revoked at once when it cannot be put on record, and ended when that can be', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    rig.unrecorded = true
    const grant = rig.grant()
    await expect(leases.acquire(grant)).rejects.toMatchObject({ code: 'journal_unavailable' })
    await settled()
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.store.open, 'or nobody would ever say that it has ended').toHaveLength(1)
    rig.unrecorded = false
    await rig.pass(leases, 2_000)
    expect(rig.store.open).toEqual([])
    expect(rig.heard.filter((each) => each.startsWith('revoked'))).toHaveLength(1)
  })

  it('is revoked at once when it cannot be written down by its name', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    rig.engine.issuing = () => {
      rig.store.away = true
      return Promise.resolve()
    }
    await expect(leases.acquire(rig.grant())).rejects.toThrow('the store is away')
    await settled()
    expect(rig.engine.alive.size).toBe(0)
    rig.store.away = false
    await rig.pass(leases, 2_000)
    expect(rig.store.open).toEqual([])
  })
})

describe('a lease that is used', () => {
  it('is renewed when about two thirds of its life are over, again and again', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const use = await leases.acquire(rig.grant())
    await rig.pass(leases, 37_000)
    expect(rig.engine.heard('renew')).toEqual([])
    await rig.pass(leases, 6_000)
    expect(rig.engine.heard('renew')).toEqual(['renew login_1 for 60 s'])
    expect(rig.store.open[0]?.expiresAt).toBeGreaterThan(rig.clock.wall + 50_000)
    await rig.pass(leases, 600_000)
    expect(rig.engine.heard('renew').length).toBeGreaterThanOrEqual(13)
    expect(use.remainingMs).toBeUndefined()
    expect(rig.engine.alive.size).toBe(1)
  })

  it('is not renewed beyond the grant, and not replaced when it ends with it', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant(100_000)
    const use = await leases.acquire(grant)
    await rig.pass(leases, 44_000)
    expect(rig.engine.heard('renew')).toEqual([expect.stringMatching(/for (5\d|60) s$/)])
    await rig.pass(leases, 55_000)
    expect(use.remainingMs).toBeUndefined()
    expect(rig.engine.alive.size).toBe(1)
    use.released()
    await rig.pass(leases, 2_000)
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.heard.at(-1)).toMatch(/^revoked grant_over confirmed/)
  })

  it('is shortened at once when it would outlive its grant', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = 3_600_000
    const leases = rig.process()
    const grant = rig.grant(90_000)
    await leases.acquire(grant)
    await rig.pass(leases, 500)
    expect(rig.engine.heard('renew')).toEqual(['renew login_1 for 89 s'])
    expect(rig.store.open).toMatchObject([{ expiresAt: grant.endsAt }])
    await rig.pass(leases, 60_000)
    expect(rig.engine.heard('renew')).toEqual([])
  })

  it('is tried to be shortened until that works', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = 3_600_000
    const leases = rig.process()
    await leases.acquire(rig.grant(600_000))
    rig.engine.renewing = () => Promise.reject(away)
    await rig.pass(leases, 200_000)
    const tries = rig.engine.heard('renew').length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(15)
    rig.engine.renewing = () => Promise.resolve()
    await rig.pass(leases, 60_000)
    expect(rig.engine.heard('renew')).toHaveLength(1)
  })

  it('is replaced for new sessions when it cannot be prolonged, and the old ones know how long', async () => {
    const rig = new LeaseRig()
    rig.engine.maxEndsAt = rig.clock.wall + 90_000
    const leases = rig.process()
    const grant = rig.grant()
    const old = await leases.acquire(grant)
    await rig.pass(leases, 37_000)
    expect(old.remainingMs).toBeUndefined()
    await rig.pass(leases, 6_000)
    expect(old.remainingMs, 'as soon as it is known').toBe(47_000)
    rig.engine.maxEndsAt = Number.POSITIVE_INFINITY
    const next = await leases.acquire(grant)
    expect(next.lease.user).toBe('login_2')
    expect(next.remainingMs).toBeUndefined()
    old.released()
    await settled()
    expect([...rig.engine.alive]).toEqual(['login_2'])
    expect(rig.heard.at(-1)).toBe('revoked closing confirmed 0')
  })

  it('is revoked at its end although somebody has it still', async () => {
    const rig = new LeaseRig()
    rig.engine.maxEndsAt = rig.clock.wall + 60_000
    const leases = rig.process()
    const use = await leases.acquire(rig.grant())
    await rig.pass(leases, 61_000)
    expect(use.remainingMs).toBe(0)
    expect(rig.engine.alive.size).toBe(0)
    use.released()
    await settled()
    expect(rig.engine.heard('revoke')).toHaveLength(1)
  })

  it('that is not renewable is replaced in time', async () => {
    const rig = new LeaseRig()
    rig.engine.renewable = false
    const leases = rig.process()
    const grant = rig.grant()
    const old = await leases.acquire(grant)
    await rig.pass(leases, 37_000)
    expect((await leases.acquire(grant)).lease.user).toBe('login_1')
    await rig.pass(leases, 6_000)
    expect(old.remainingMs).toBe(17_000)
    expect((await leases.acquire(grant)).lease.user).toBe('login_2')
    expect(rig.engine.heard('renew')).toEqual([])
  })

  it('ends with the token that it was issued to, unless that is prolonged', async () => {
    const rig = new LeaseRig()
    const token = { endsAt: rig.clock.elapsedMs + 45_000 }
    rig.engine.limit = token
    const leases = rig.process()
    const use = await leases.acquire(rig.grant())
    await rig.pass(leases, 20_000)
    token.endsAt += 45_000
    await rig.pass(leases, 35_000)
    expect(use.remainingMs).toBeUndefined()
    // From here on it is not prolonged any more.
    await rig.pass(leases, 22_000)
    expect(use.remainingMs).toBe(13_000)
  })

  it('is tried to be renewed a few times, and given up when its end comes near', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const use = await leases.acquire(grant)
    rig.engine.renewing = () => Promise.reject(away)
    await rig.pass(leases, 49_000)
    expect(use.remainingMs).toBeUndefined()
    const tries = rig.engine.heard('renew').length
    expect(tries).toBeGreaterThanOrEqual(2)
    expect(tries).toBeLessThanOrEqual(9)
    await rig.pass(leases, 1_500)
    expect(use.remainingMs).toBe(9_500)
  })

  it('lives on when a renewal succeeds after some that failed', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const use = await leases.acquire(rig.grant())
    rig.engine.renewing = () => Promise.reject(away)
    await rig.pass(leases, 44_000)
    rig.engine.renewing = () => Promise.resolve()
    await rig.pass(leases, 30_000)
    expect(use.remainingMs).toBeUndefined()
    expect(rig.engine.alive.size).toBe(1)
  })

  it('is gone at once when its engine does not know it any more', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const use = await leases.acquire(grant)
    rig.engine.renewing = () => Promise.reject(new LeaseGone('unknown lease'))
    await rig.pass(leases, 43_000)
    expect(use.remainingMs).toBe(0)
    expect((await leases.acquire(grant)).lease.user).toBe('login_2')
    // Its sessions are told first, by us.
    expect(rig.engine.heard('revoke')).toEqual([])
    use.released()
    await settled()
    expect(rig.heard.at(-1)).toMatch(/^revoked gone confirmed/)
  })

  it('does not mind that the clock on the wall is set', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const use = await leases.acquire(rig.grant(10 * 3_600_000))
    rig.clock.wall += 3_600_000
    await rig.pass(leases, 37_000)
    expect(rig.engine.heard('renew')).toEqual([])
    await rig.pass(leases, 6_000)
    expect(rig.engine.heard('renew')).toEqual(['renew login_1 for 60 s'])
    rig.clock.wall -= 2 * 3_600_000
    await rig.pass(leases, 32_000)
    expect(rig.engine.heard('renew')).toEqual([])
    await rig.pass(leases, 10_000)
    expect(rig.engine.heard('renew')).toEqual(['renew login_1 for 60 s'])
    expect(use.remainingMs).toBeUndefined()
    expect(rig.heard.filter((each) => each.startsWith('revoked'))).toEqual([])
  })

  it('is given to new sessions while there is no other to be had, for as long as it lives', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const use = await leases.acquire(grant)
    rig.engine.renewing = () => Promise.reject(away)
    rig.engine.issuing = () => Promise.reject(new NotIssued(away))
    await rig.pass(leases, 52_000)
    const late = await leases.acquire(grant)
    expect(late.lease.user).toBe(use.lease.user)
    expect(late.remainingMs).toBe(8_000)
    await rig.pass(leases, 6_000)
    await expect(leases.acquire(grant)).rejects.toBe(away)
  })
})

describe('a lease that is not used', () => {
  it('is not renewed but runs out, and the next login gets another', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    ;(await leases.acquire(grant)).released()
    await rig.pass(leases, 61_000)
    expect(rig.engine.heard('renew')).toEqual([])
    expect(rig.store.open).toEqual([])
    expect(rig.heard.at(-1)).toMatch(/^revoked unused confirmed/)
    expect((await leases.acquire(grant)).lease.user).toBe('login_2')
  })

  it('is kept for the time that is configured', async () => {
    const rig = new LeaseRig()
    rig.unusedTimeoutMs = 10_000
    const leases = rig.process()
    const grant = rig.grant()
    ;(await leases.acquire(grant)).released()
    await rig.pass(leases, 9_000)
    const again = await leases.acquire(grant)
    expect(again.lease.user).toBe('login_1')
    await rig.pass(leases, 30_000)
    const third = await leases.acquire(grant)
    again.released()
    again.released()
    await rig.pass(leases, 20_000)
    expect(rig.engine.alive.size, 'the third has it still').toBe(1)
    third.released()
    await rig.pass(leases, 9_500)
    expect(rig.engine.alive.size).toBe(1)
    await rig.pass(leases, 1_000)
    expect(rig.engine.alive.size).toBe(0)
  })

  it('of the broker stays until its grant ends', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = undefined
    const leases = rig.process()
    const grant = rig.grant()
    ;(await leases.acquire(grant)).released()
    await rig.pass(leases, 3_599_000)
    expect(rig.engine.asked).toEqual(['issue login_1'])
    await rig.pass(leases, 2_000)
    expect(rig.engine.alive.size).toBe(0)
  })
})

describe('a lease that the target refused', () => {
  it('is not given out again, and those who have it keep it', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const first = await leases.acquire(grant)
    rig.clock.pass(1_000)
    const second = await leases.acquire(grant)
    expect(second.refused()).toBe(true)
    second.released()
    const third = await leases.acquire(grant)
    expect(third.lease.user).toBe('login_2')
    expect(third.refused(), 'it was made just now').toBe(false)
    expect(rig.engine.alive).toContain(first.lease.user)
  })
})

describe('the password of a role that others use as well', () => {
  it('is read anew when its time is over, and sessions live on', async () => {
    const rig = new LeaseRig()
    rig.engine.roles = 'shared'
    rig.engine.renewable = false
    const leases = rig.process()
    const grant = rig.grant()
    const use = await leases.acquire(grant)
    use.opened({ server: 'db:5432', processId: 7 })
    await rig.pass(leases, 59_000)
    await rig.pass(leases, 30_000)
    expect(use.remainingMs).toBeUndefined()
    expect((await leases.acquire(grant)).lease.user).toBe('login_2')
    expect(rig.engine.heard('re')).toEqual([])
    use.released()
    await settled()
    expect(rig.engine.asked).toEqual([
      'end login_1 7@-89000',
      'revoke login_1',
      'confirm shared login_1 7@-89000',
    ])
  })

  it('does not cost the lives of sessions that are not ours, nor of ours long ago', async () => {
    const rig = new LeaseRig()
    rig.engine.roles = 'shared'
    rig.engine.lifeMs = 600_000
    const leases = rig.process()
    const grant = rig.grant()
    const [gone, left, live] = await Promise.all([1, 2, 3].map(() => leases.acquire(grant)))
    gone?.opened({ server: 'db:5432', processId: 1 })
    left?.opened({ server: 'db:5432', processId: 2 })
    live?.opened({ server: 'db:5432', processId: 3 })
    gone?.released()
    await rig.pass(leases, 20_000)
    left?.released()
    await rig.pass(leases, 20_000)
    await leases.endGrant(grant.id)
    expect(rig.engine.heard('end')).toEqual(['end login_1 2@-40000,3@-40000'])
  })
})

describe('the end of a grant', () => {
  it('ends backends, then the lease, and then somebody looks', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    await leases.acquire(grant)
    rig.engine.asked.length = 0
    rig.clock.pass(2_000)
    await leases.endGrant(grant.id, rig.clock.elapsedMs - 1_500)
    expect(rig.engine.asked).toEqual([
      'end login_1 all',
      'revoke login_1',
      'confirm own login_1 all',
    ])
    expect(rig.heard.at(-1)).toBe('revoked grant_over confirmed 1.5')
    expect([...rig.store.rows.values()]).toMatchObject([{ endedAs: 'confirmed' }])
    await leases.endGrant(grant.id)
    expect(rig.engine.heard('revoke')).toHaveLength(1)
  })

  it('is said to be unconfirmed where nobody can look', async () => {
    const rig = new LeaseRig()
    rig.monitored = false
    const leases = rig.process()
    const grant = rig.grant()
    await leases.acquire(grant)
    await leases.endGrant(grant.id)
    expect(rig.heard.at(-1)).toBe('revoked grant_over unconfirmed 0')
    expect([...rig.store.rows.values()]).toMatchObject([{ endedAs: 'unconfirmed' }])
  })

  it('that is not confirmed is tried again for ever, more and more rarely', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant(100_000_000)
    await leases.acquire(grant)
    rig.monitor.failing = new Failure('cannot_connect_now', { message: 'a session is left' })
    rig.store.revoke(grant)
    await expect(leases.endGrant(grant.id)).rejects.toThrow('a session is left')
    expect(rig.engine.alive.size, 'the lease is revoked all the same').toBe(0)
    expect(rig.store.open).toHaveLength(1)
    await rig.pass(leases, 60_000)
    const soon = rig.heard.length
    expect(soon).toBeGreaterThanOrEqual(5)
    expect(soon).toBeLessThanOrEqual(9)
    await rig.pass(leases, 600_000)
    expect(rig.heard.length - soon).toBeGreaterThanOrEqual(6)
    expect(rig.heard.length - soon).toBeLessThanOrEqual(21)
    await rig.beat([leases], 30)
    expect(rig.orphans, 'it has somebody who looks after it').toBe(0)
    expect([...rig.store.rows.values()]).toMatchObject([{ triedAt: undefined }])
    rig.monitor.failing = undefined
    await rig.pass(leases, 100_000)
    expect(rig.store.open).toEqual([])
    expect(rig.heard.at(-1)).toMatch(/^revoked grant_over confirmed/)
  })

  it('catches a lease that is being issued at this moment', async () => {
    const rig = new LeaseRig()
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const leases = rig.process()
    const grant = rig.grant()
    const using = leases.acquire(grant).catch((error: unknown) => error)
    await settled()
    rig.store.revoke(grant)
    const ended = leases.endGrant(grant.id)
    open()
    await ended
    expect(await using).toMatchObject({ code: 'invalid_authorization' })
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.store.open).toEqual([])
  })

  it('is not confirmed by a role that is gone, when its sessions could not be ended', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    await leases.acquire(grant)
    rig.monitor.endBackends = () => Promise.reject(away)
    await expect(leases.endGrant(grant.id)).rejects.toBe(away)
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.heard.at(-1)).toBe('revoke failed grant_over 1')
    expect(rig.store.open).toHaveLength(1)
  })

  it('that another process was told of catches a lease that is being issued', async () => {
    const rig = new LeaseRig()
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const using = rig.process().acquire(rig.grant())
    await settled()
    for (const grant of rig.store.grants.values()) rig.store.revoke(grant)
    open()
    await expect(using).rejects.toMatchObject({ code: 'invalid_authorization' })
    await settled()
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.store.open).toEqual([])
  })

  it('is left to the process that has the sessions, for ten seconds', async () => {
    const rig = new LeaseRig()
    const [holder, other] = [rig.process(), rig.process()]
    const grant = rig.grant()
    await holder.acquire(grant)
    await rig.beat([holder, other], 30)
    rig.store.revoke(grant)
    await rig.beat([other], 10)
    expect(rig.engine.alive.size).toBe(1)
    await rig.beat([other], 5)
    expect(rig.engine.alive.size).toBe(0)
  })

  it('is left to that process as long when nobody could ask the store meanwhile', async () => {
    const rig = new LeaseRig()
    const [holder, other] = [rig.process(), rig.process()]
    const grant = rig.grant()
    await holder.acquire(grant)
    rig.store.revoke(grant)
    await rig.beat([other], 10)
    rig.store.away = true
    await rig.beat([other], 30)
    rig.store.away = false
    await rig.beat([other], 10)
    expect(rig.engine.alive.size).toBe(1)
    await rig.beat([other], 5)
    expect(rig.engine.alive.size).toBe(0)
  })

  it('on a shared role is not left alone because another process has closed the record', async () => {
    const rig = new LeaseRig()
    rig.engine.roles = 'shared'
    const [holder, other] = [rig.process(), rig.process()]
    const grant = rig.grant()
    const use = await holder.acquire(grant)
    use.opened({ server: 'db:5432', processId: 11 })
    await rig.beat([holder, other], 25)
    use.released()
    rig.monitor.failing = new Failure('cannot_connect_now', { message: 'a session is left' })
    rig.store.revoke(grant)
    await holder.endGrant(grant.id).catch(() => undefined)
    await rig.beat([holder, other], 20)
    expect(rig.store.open, 'the other could see nothing of it').toEqual([])
    rig.monitor.failing = undefined
    rig.engine.asked.length = 0
    await rig.pass(holder, 60_000)
    expect(rig.engine.heard('end')).toEqual([expect.stringMatching(/^end login_1 11@-/)])
    await rig.beat([holder, other], 10)
    expect(rig.engine.heard('end')).toEqual([])
  })

  it('catches one that was issued before the revoke was known and is not used yet', async () => {
    const rig = new LeaseRig()
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const leases = rig.process()
    const grant = rig.grant()
    const using = leases.acquire(grant).catch((error: unknown) => error)
    await settled()
    const ended = leases.endGrant(grant.id)
    open()
    await ended
    expect(await using).toMatchObject({ code: 'invalid_authorization' })
    expect(rig.engine.alive.size).toBe(0)
  })

  it('is noticed by itself, and sessions have a moment to go', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = undefined
    const leases = rig.process()
    const grant = rig.grant(10_000)
    const use = await leases.acquire(grant)
    await rig.pass(leases, 18_000)
    expect(rig.engine.alive.size).toBe(1)
    await rig.pass(leases, 3_000)
    expect(rig.engine.alive.size).toBe(0)
    use.released()
    expect(rig.heard.at(-1)).toBe('revoked grant_over confirmed 10')
  })

  it('ends the lease of a session that does not use it any more at once', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const use = await leases.acquire(grant)
    rig.store.revoke(grant)
    await leases.sweep()
    expect(rig.engine.alive.size).toBe(1)
    use.released()
    await settled()
    expect(rig.engine.alive.size).toBe(0)
  })
})

describe('stopping', () => {
  it('revokes what is held, and what is being issued', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const [one, two] = [rig.grant(), rig.grant()]
    await leases.acquire(one)
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const late = leases.acquire(two).catch((error: unknown) => error)
    await settled()
    const stopped = leases.stop()
    open()
    await stopped
    expect(await late).toMatchObject({ message: 'pgwarden is shutting down' })
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.store.open).toEqual([])
    await expect(leases.acquire(one)).rejects.toThrow('shutting down')
  })

  it('leaves to others what cannot be revoked now', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    await leases.acquire(rig.grant())
    rig.engine.revoking = () => Promise.reject(away)
    await leases.stop()
    expect(rig.store.open).toHaveLength(1)
    rig.engine.revoking = () => Promise.resolve()
    await rig.beat([rig.process()], 90)
    expect(rig.store.open).toEqual([])
  })
})

describe('the leases of a process that was killed', () => {
  it('are revoked by the next, when it has seen that nobody says that they are held', async () => {
    const rig = new LeaseRig()
    const killed = rig.process()
    for (let count = 0; count < 20; count++) await killed.acquire(rig.grant())
    const next = rig.process()
    await next.sweep()
    await rig.beat([next], 60)
    expect(rig.engine.alive.size).toBe(20)
    await rig.beat([next], 5)
    expect(rig.engine.alive.size).toBe(0)
    expect(rig.store.open).toEqual([])
    await rig.beat([next], 5)
    expect(rig.orphans).toBe(0)
    expect(rig.heard.at(-1)).toMatch(/^revoked abandoned confirmed/)
  })

  it('are taken by one of two who find them', async () => {
    const rig = new LeaseRig()
    await rig.process().acquire(rig.grant())
    const [one, two] = [rig.process(), rig.process()]
    await Promise.all([one.sweep(), two.sweep()])
    await rig.beat([one, two], 70)
    expect(rig.engine.heard('revoke')).toHaveLength(1)
  })

  it('are left to those who know the target, while there are any', async () => {
    const rig = new LeaseRig()
    const dead = rig.process()
    await dead.acquire(rig.grant())
    const [stranger, knowing] = [rig.process(false), rig.process()]
    await rig.beat([stranger, knowing], 80)
    expect(rig.heard.filter((each) => each.startsWith('revoke'))).toEqual([
      expect.stringMatching(/^revoked abandoned confirmed/),
    ])
    await rig.process().acquire(rig.grant())
    await rig.beat([stranger], 140)
    expect(rig.heard.at(-1), 'and nobody is silent about those that nobody knows').toBe(
      'revoke failed abandoned 1',
    )
  })

  it('of which it was never told by name are closed when they must have ended', async () => {
    const rig = new LeaseRig()
    rig.engine.issuing = () => new Promise(() => undefined)
    void rig.process().acquire(rig.grant(10 * 3_600_000))
    await settled()
    const next = rig.process()
    await rig.beat([next], 3_590)
    expect(rig.store.open).toHaveLength(1)
    await rig.beat([next], 20)
    expect([...rig.store.rows.values()]).toMatchObject([{ endedAs: 'unconfirmed' }])
    expect(rig.engine.heard('revoke')).toEqual([])
  })
})

describe('an outage of the store', () => {
  it('lets nobody take the living for dead', async () => {
    const rig = new LeaseRig()
    const [one, two] = [rig.process(), rig.process()]
    const uses = await Promise.all([one.acquire(rig.grant()), two.acquire(rig.grant())])
    await rig.beat([one, two], 70)
    rig.store.away = true
    await rig.beat([one, two], 120)
    rig.store.away = false
    // Not all come back at the same time.
    await rig.beat([one], 15)
    await rig.beat([one, two], 70)
    expect(rig.engine.alive.size).toBe(2)
    expect(uses.map(({ remainingMs }) => remainingMs)).toEqual([undefined, undefined])
    expect(rig.problems.length).toBeGreaterThan(0)
  })

  it('leaves nobody on a shared role when others have closed the record meanwhile', async () => {
    const rig = new LeaseRig()
    rig.engine.roles = 'shared'
    const leases = rig.process()
    const use = await leases.acquire(rig.grant())
    use.opened({ server: 'db:5432', processId: 11 })
    for (const row of rig.store.rows.values()) row.endedAs = 'unconfirmed'
    await leases.sweep()
    expect(use.remainingMs).toBe(0)
    use.released()
    await settled()
    expect(rig.engine.heard('end')).toEqual([expect.stringMatching(/^end login_1 11@-/)])
  })

  it('does not end sessions, and a process that was away for too long knows that its leases are gone', async () => {
    const rig = new LeaseRig()
    const [lost, other] = [rig.process(), rig.process()]
    const grant = rig.grant()
    const use = await lost.acquire(grant)
    await other.sweep()
    await rig.beat([other], 70)
    expect(rig.engine.alive.size).toBe(0)
    expect(use.remainingMs).toBeUndefined()
    await lost.sweep()
    expect(use.remainingMs).toBe(0)
    expect((await lost.acquire(grant)).lease.user).toBe('login_2')
  })
})

describe('the login of a grant that is prolonged', () => {
  it('is asked for again at once, and outlives the end that the grant had', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = 600_000
    const leases = rig.process()
    const grant = rig.grant(300_000)
    const use = await leases.acquire(grant)
    await rig.pass(leases, 299_000)
    rig.engine.heard('')
    rig.store.grants.set(grant.id, { ...grant, endsAt: grant.endsAt + 300_000 })
    await leases.extendGrant(grant.id, grant.endsAt + 300_000)
    await rig.pass(leases, 1_000)
    expect(rig.engine.heard('renew')).toEqual(['renew login_1 for 300 s'])
    await rig.pass(leases, 298_000)
    expect(use.remainingMs).toBeUndefined()
    expect(rig.engine.alive).toEqual(new Set(['login_1']))
    await rig.pass(leases, 3_000)
    use.released()
    await settled()
    expect(rig.engine.alive).toEqual(new Set())
  })

  it('is moved too where it has no end of its own, and tried until it is', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = undefined
    const leases = rig.process()
    const grant = rig.grant(60_000)
    const use = await leases.acquire(grant)
    rig.engine.renewing = () => Promise.reject(away)
    rig.store.grants.set(grant.id, { ...grant, endsAt: grant.endsAt + 60_000 })
    await leases.extendGrant(grant.id, grant.endsAt + 60_000)
    await rig.pass(leases, 1_000)
    rig.engine.renewing = () => Promise.resolve()
    rig.engine.heard('')
    await rig.pass(leases, 2_000)
    expect(rig.engine.heard('renew')).toHaveLength(1)
    await rig.pass(leases, 62_000)
    expect(use.remainingMs).toBeUndefined()
    expect(rig.engine.alive).toEqual(new Set(['login_1']))
  })

  it('goes on when it was being made at that moment', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = undefined
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const leases = rig.process()
    const grant = rig.grant(60_000)
    const using = leases.acquire(grant)
    await settled()
    rig.store.grants.set(grant.id, { ...grant, endsAt: grant.endsAt + 60_000 })
    const extended = leases.extendGrant(grant.id, grant.endsAt + 60_000)
    open()
    await using
    await extended
    await rig.pass(leases, 70_000)
    expect(rig.engine.alive).toEqual(new Set(['login_1']))
  })

  it('is given up in time for its sessions to be told, when it cannot be prolonged', async () => {
    const rig = new LeaseRig()
    rig.engine.lifeMs = 600_000
    const leases = rig.process()
    const grant = rig.grant(600_000)
    const use = await leases.acquire(grant)
    rig.engine.renewing = () => Promise.reject(away)
    rig.store.grants.set(grant.id, { ...grant, endsAt: grant.endsAt + 600_000 })
    await leases.extendGrant(grant.id, grant.endsAt + 600_000)
    await rig.pass(leases, 560_000)
    expect(use.remainingMs).toBeUndefined()
    await rig.pass(leases, 15_000)
    expect(use.remainingMs).toBeGreaterThan(20_000)
  })
})

describe('a target that is configured in another way', () => {
  it('gives new sessions new logins, and goes on renewing those that are used', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    const old = await leases.acquire(grant)
    rig.reconfigure('same place')
    leases.supersede()
    const fresh = await leases.acquire(grant)
    expect(fresh.lease.user).not.toBe(old.lease.user)
    await rig.pass(leases, 120_000)
    expect(rig.engine.alive).toEqual(new Set([old.lease.user, fresh.lease.user]))
    expect(old.remainingMs).toBeUndefined()
    old.released()
    await settled()
    expect(rig.engine.alive).toEqual(new Set([fresh.lease.user]))
  })

  it('ends logins by the new credentials where it is the same database', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const first = rig.target()
    const use = await leases.acquire(rig.grant())
    rig.reconfigure('same place')
    leases.supersede()
    expect(leases.needs(first)).toBe(false)
    use.released()
    await settled()
    expect(rig.endedBy).toEqual(['second'])
  })

  it.each(['another place', 'nowhere'] as const)(
    'ends logins by the credentials that they came from when it is %s now',
    async (where) => {
      const rig = new LeaseRig()
      const leases = rig.process()
      const first = rig.target()
      const use = await leases.acquire(rig.grant())
      rig.reconfigure(where)
      leases.supersede()
      expect(leases.needs(first), 'until then it must not be closed').toBe(true)
      await rig.pass(leases, 60_000)
      expect(rig.engine.alive.size, 'a session has it still').toBe(1)
      rig.engine.revoking = () => Promise.reject(away)
      use.released()
      await settled()
      expect(leases.needs(first), 'it is tried again').toBe(true)
      rig.engine.revoking = () => Promise.resolve()
      await rig.pass(leases, 5_000)
      expect(rig.engine.alive.size).toBe(0)
      expect(new Set(rig.endedBy)).toEqual(new Set(['first']))
      expect(leases.needs(first)).toBe(false)
    },
  )

  it('gives no login of before when no new one can be had', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const grant = rig.grant()
    await leases.acquire(grant)
    rig.reconfigure('same place')
    leases.supersede()
    rig.engine.issuing = () => Promise.reject(new NotIssued(away))
    await expect(leases.acquire(grant)).rejects.toBe(away)
  })

  it('gives nobody a login of before that was being made for them', async () => {
    const rig = new LeaseRig()
    const leases = rig.process()
    const { wait, open } = gate()
    rig.engine.issuing = wait
    const waiting = leases.acquire(rig.grant())
    await settled()
    rig.reconfigure('another place')
    leases.supersede()
    open()
    await expect(waiting).rejects.toMatchObject({ code: 'cannot_connect_now' })
    await rig.pass(leases, 1_000)
    expect(rig.engine.alive.size).toBe(0)
  })
})
