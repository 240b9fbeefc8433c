// The built-in engine: for each lease a database role that pgwarden makes and drops by itself, good until
// its grant ends. Ignorant of when to do it (leases.ts) and of the SQL behind a role (administration.ts).

import { randomBytes } from 'node:crypto'
import type { Grant } from '../access/access.ts'
import { randomId } from '../access/id.ts'
import type { LeaseRecord } from '../access/lease.ts'
import { Secret } from '../secret.ts'
import { defaultIterations, scramVerifier } from '../wire/scram.ts'
import type { Administration, BrokerTarget } from './administration.ts'
import {
  type Engine,
  type Issued,
  type Monitor,
  noSuchRole,
  placeOf,
  type TargetCredentials,
} from './engine.ts'
import { retried } from './retry.ts'

class Broker implements Engine {
  readonly kind = 'broker'
  readonly roles = 'own'
  readonly confirms: boolean
  readonly #administration: Administration

  /**
   * `confirms`: sessions are on the primary alone. There DROP ROLE comes behind the end of all of them;
   * on a standby they outlive it.
   */
  constructor(administration: Administration, confirms: boolean) {
    this.#administration = administration
    this.confirms = confirms
  }

  nameFor(grant: Grant): string {
    return databaseRole(grant.id)
  }

  boundFor(): undefined {
    return undefined
  }

  async issue(record: LeaseRecord, grant: Grant): Promise<Issued> {
    const user = nameOf(record)
    const password = new Secret(randomBytes(32).toString('base64url'))
    await this.#administration.createRole({
      name: user,
      verifier: await scramVerifier(password.reveal(), randomBytes(16), defaultIterations),
      expiration: grant.endsAt,
      role: grant.role,
    })
    return { user, password, vaultLease: undefined, lifeMs: undefined, renewable: true }
  }

  async renew(record: LeaseRecord, until: number): Promise<number> {
    await this.#administration.moveEnd(nameOf(record), until)
    return until
  }

  async revoke(record: LeaseRecord): Promise<void> {
    await retried(() => this.#administration.removeRole(nameOf(record)))
  }
}

/** One role for each grant, on a target that the broker manages. */
export function brokerCredentials(
  name: string,
  target: BrokerTarget,
  administration: Administration,
  monitor?: Monitor,
): TargetCredentials {
  const broker = new Broker(administration, onPrimaryAlone(target))
  return {
    place: placeOf(target),
    engineFor: (role) => {
      if (!target.credentials.broker.creation.has(role)) throw noSuchRole(name, role)
      return broker
    },
    engineOf: (kind) => (kind === 'broker' ? broker : undefined),
    monitor,
    share: 'grant',
    unusedTimeoutMs: undefined,
  }
}

/** A server that is not the primary any more has ended its sessions. */
function onPrimaryAlone({ servers, targetSessionAttrs }: BrokerTarget): boolean {
  return servers.length === 1 || ['primary', 'read-write'].includes(targetSessionAttrs)
}

/** Readable in pg_stat_activity, unique, and within PostgreSQL's 63 bytes whatever the grant's id. */
export function databaseRole(grantId: string): string {
  const grant = grantId.toLowerCase().replace(/[^a-z0-9]/g, '')
  return `pgw_${grant.slice(0, 24)}_${randomId(12)}`
}

function nameOf({ id, databaseRole: role }: LeaseRecord): string {
  if (role === undefined) throw new Error(`lease ${id} of the broker has no role`)
  return role
}
