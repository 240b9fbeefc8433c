// What is kept of a lease from before its login exists until it is certain that the login is gone, so
// that it outlives neither its grant nor the process that asked for it. Ignorant of passwords: a
// lease's password lives in the memory of one process only.

/** Who issues leases and can end them. */
export type LeaseEngine = 'broker' | 'vault-dynamic' | 'vault-static' | 'vault-kv'

export interface LeaseRecord {
  readonly id: string
  readonly grantId: string
  readonly target: string
  readonly engine: LeaseEngine
  /** The process that holds it: a name of one run, not of a machine. */
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly issuedAt: number
  /** The role that logs in; undefined until the engine has said, where it chooses the name. */
  readonly databaseRole: string | undefined
  /** What Vault calls it. No secret, but nothing to be shown to a client either. */
  readonly vaultLease: string | undefined
  /**
   * Milliseconds since the epoch: after this the login is dead though nobody lifts a finger. Of a lease
   * whose engine has not answered yet, the latest time that it can be. undefined: it has no end of its own.
   */
  readonly expiresAt: number | undefined
}

/** Why a lease was ended. */
export type LeaseEndReason =
  /** Its grant has ended or was revoked. */
  | 'grant_over'
  /** No session wanted it any more. */
  | 'unused'
  /** It could not be prolonged, or the target refused it, and another has taken its place. */
  | 'closing'
  /** Its engine did not know it any more. */
  | 'gone'
  /** The process that held it is gone. */
  | 'abandoned'
  /** It was asked for, and could not be used. */
  | 'failed'
  | 'shutdown'

/**
 * `confirmed`: that the login and its sessions are gone was looked at. `unconfirmed`: nobody could
 * look; the engine's word is all there is.
 */
export type LeaseEndResult = 'confirmed' | 'unconfirmed'

/** An open lease that somebody should look after. */
export interface StaleLease {
  readonly record: LeaseRecord
  readonly principal: string
  readonly role: string
  /** `grant_over`: it has outlived its grant. `abandoned`: nobody says any more that it is held. */
  readonly reason: 'grant_over' | 'abandoned'
}

/** A lease as those see it who wait for its end. */
export interface LeaseStanding {
  readonly id: string
  readonly engine: LeaseEngine
  readonly databaseRole: string | undefined
  /** undefined: it is open. */
  readonly ended: LeaseEndResult | undefined
}
