// A login for each pgwarden role of a target, tried once from beginning to end: issued, logged in with,
// renewed, revoked and looked for. What was issued is revoked whatever happens in between.
// Ignorant of who issues logins, and how.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Circumstances, type Finding, fail, ok, sentence, warn, within } from './finding.ts'

export interface Trial {
  /** pgwarden's. */
  readonly role: string
  /** Where its logins come from, e.g. `database/creds/shop-ro`. */
  readonly source: string
  /** @throws */
  readonly issue: () => Promise<TrialLogin>
}

export interface TrialLogin {
  /** The database role. */
  readonly user: string
  /** `own`: it comes and goes with this login. `shared`: it is there before and after. */
  readonly roles: 'own' | 'shared'
  /** How long it lasts unless it is renewed. undefined: as long as a grant. */
  readonly lifeMs: number | undefined
  readonly renewable: boolean
  /** Logs in, looks at itself and leaves. @throws when that does not succeed for another reason. */
  readonly logIn: (signal: AbortSignal) => Promise<Rights | 'refused'>
  /** @throws */
  readonly renew: () => Promise<void>
  /** @throws when it may still be good. */
  readonly revoke: () => Promise<void>
  /** Looks on the target whether the role is gone. Where nobody can, another login is tried. @throws */
  readonly confirmGone: (() => Promise<void>) | undefined
}

/** What a database role can do that no policy of pgwarden's can take back. */
export interface Rights {
  readonly superuser: boolean
  readonly bypassesRowSecurity: boolean
  readonly replicates: boolean
  readonly makesRoles: boolean
}

const limit = 20_000

/** `looks`: whether there is a monitor that can tell if a login is gone. */
export async function* examineTrial(
  target: string,
  { role, source, issue }: Trial,
  looks: boolean,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  const subject = `target ${target} role ${role}`
  let login: TrialLogin
  const issuing = issue()
  try {
    login = await within(circumstances, `getting a login from ${source}`, limit, () => issuing)
  } catch (error) {
    const advice = `Look at ${source}, and at what the database's log says.`
    // We have lost our patience, and the login may come yet.
    const late = await lateLogin(issuing)
    try {
      yield fail(subject, `no login was issued: ${sentence(error)}`, advice)
    } finally {
      if (late !== undefined) yield* takeBack(subject, late, looks, circumstances)
    }
    return
  }
  try {
    yield* use(subject, login, circumstances)
  } finally {
    yield* takeBack(subject, login, looks, circumstances)
  }
}

async function* use(
  subject: string,
  login: TrialLogin,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  const { user, lifeMs, renewable } = login
  try {
    const rights = await within(circumstances, `logging in as ${user}`, limit, login.logIn)
    if (rights === 'refused') {
      yield fail(
        subject,
        `the database refuses the login that was issued for it (${user})`,
        'Look at the creation statements (LOGIN, PASSWORD), and whether pg_hba.conf lets such roles in from here.',
      )
      return
    }
    const lasts = lifeMs === undefined ? 'as long as its grant' : `${Math.round(lifeMs / 1000)} s`
    yield ok(subject, `a login was issued and taken (${user}); it lasts ${lasts}`)
    yield* tooMuch(subject, rights)
  } catch (error) {
    yield fail(subject, `nobody could log in with what was issued: ${sentence(error)}`)
    return
  }
  if (login.roles === 'shared' || lifeMs === undefined) return
  if (!renewable) {
    yield warn(
      subject,
      'its lease cannot be renewed: sessions end with it',
      'Set default_ttl and max_ttl of the role in Vault; or live with it, and choose a long default_ttl.',
    )
    return
  }
  try {
    await within(circumstances, `renewing ${user}`, limit, login.renew)
  } catch (error) {
    yield fail(
      subject,
      `its lease could not be renewed: ${sentence(error)}`,
      'Look at renew_statements of the role in Vault, and at the rights of Vault’s own login.',
    )
  }
}

function* tooMuch(subject: string, rights: Rights): Generator<Finding> {
  const excessive = [
    ...(rights.superuser ? ['SUPERUSER'] : []),
    ...(rights.bypassesRowSecurity ? ['BYPASSRLS'] : []),
    ...(rights.replicates ? ['REPLICATION'] : []),
    ...(rights.makesRoles ? ['CREATEROLE'] : []),
  ]
  if (excessive.length === 0) return
  yield warn(
    subject,
    `its database role has ${excessive.join(', ')}: nothing but the policy stands between it and everything`,
    'Take that out of the creation statements; GRANT it the roles that it needs.',
  )
}

async function lateLogin(issuing: Promise<TrialLogin>): Promise<TrialLogin | undefined> {
  const waiting = new AbortController()
  try {
    return await Promise.race([
      issuing.catch(() => undefined),
      sleep(limit, undefined, { signal: waiting.signal }),
    ])
  } finally {
    waiting.abort()
  }
}

async function* takeBack(
  subject: string,
  login: TrialLogin,
  looks: boolean,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  if (login.roles === 'shared') return
  // Also when the operator has had enough: a login must not be left behind.
  const own: Circumstances = { ...circumstances, signal: new AbortController().signal }
  const { user } = login
  try {
    await within(own, `revoking ${user}`, limit, login.revoke)
    const confirmGone = looks ? login.confirmGone : undefined
    if (confirmGone !== undefined) {
      await within(own, `looking whether ${user} is gone`, limit, confirmGone)
    } else if ((await within(own, `trying ${user} again`, limit, login.logIn)) !== 'refused') {
      throw new Error('the revoked login is still let in')
    }
    yield ok(subject, 'it was revoked, and is gone')
  } catch (error) {
    yield fail(
      subject,
      `the login ${user} was not revoked, or is still there: ${sentence(error)}`,
      'Look at revocation_statements, and at what its role owns; then end it: vault lease revoke, or DROP ROLE.',
    )
  }
}
