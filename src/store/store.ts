// The store: grants, access tokens and leases in PostgreSQL, shared by any number of processes.
// One object for the composition root; the statements are in the files beside it, by subject.
// Fits the ports of access/ and credentials/ by its shape.

import type { Grant } from '../access/access.ts'
import type { ApiKey, StoredApiKey } from '../access/api-key.ts'
import type { DeskStore } from '../access/desk-store.ts'
import type { LeaseEndResult, LeaseRecord, LeaseStanding, StaleLease } from '../access/lease.ts'
import type { LiveSession, WantedSessions } from '../access/live-session.ts'
import type { TokenRecord } from '../access/token.ts'
import type { ProvableToken, Redemption, StoredToken, TokenSearch } from '../access/token-store.ts'
import * as apiKeys from './api-keys.ts'
import { Database, type DatabaseOptions } from './database.ts'
import { deskStore } from './desk.ts'
import * as grants from './grants.ts'
import { IdempotencyKeys } from './idempotency.ts'
import * as leases from './leases.ts'
import { LoginFailures } from './login-failures.ts'
import { migrate } from './migrations.ts'
import { Outbox } from './outbox.ts'
import * as requests from './requests.ts'
import * as sessions from './sessions.ts'
import * as tokens from './tokens.ts'

export class Store {
  readonly #database: Database
  /** Requests and grants, as people ask for them, decide on them and take them back. */
  readonly desk: DeskStore
  /** Changes on their way out. */
  readonly outbox: Outbox
  readonly loginFailures: LoginFailures
  /** Of the API's callers. */
  readonly idempotencyKeys: IdempotencyKeys

  private constructor(database: Database) {
    this.#database = database
    this.desk = deskStore(database)
    this.outbox = new Outbox(database)
    this.loginFailures = new LoginFailures(database)
    this.idempotencyKeys = new IdempotencyKeys(database)
  }

  /**
   * Brings the schema up to date and is ready for use.
   * @throws Failure cannot_connect_now; invalid_configuration for an unusable URL or a later schema.
   */
  static async open(options: DatabaseOptions): Promise<Store> {
    await migrate(options)
    return new Store(new Database(options))
  }

  /** Waits for the statements that run. */
  close(): Promise<void> {
    return this.#database.close()
  }

  get connections(): Database['connections'] {
    return this.#database.connections
  }

  /** How many requests for access wait for a decision. */
  pendingRequests(now: number): Promise<number> {
    return requests.countAllPending(this.#database, now)
  }

  /** Resolves when the store answers. */
  async ping(): Promise<void> {
    await this.#database.run('select')
  }

  insertGrant(grant: Grant): Promise<void> {
    return grants.insertGrant(this.#database, grant)
  }

  insertToken(token: TokenRecord): Promise<void> {
    return tokens.insertToken(this.#database, token)
  }

  findToken(id: string): Promise<StoredToken | undefined> {
    return tokens.findToken(this.#database, id)
  }

  findProvable(search: TokenSearch): Promise<readonly ProvableToken[]> {
    return tokens.findProvable(this.#database, search)
  }

  grantedTargets(principal: string, now: number, limit: number): Promise<readonly string[]> {
    return tokens.grantedTargets(this.#database, principal, now, limit)
  }

  redeem(redemption: Redemption): Promise<boolean> {
    return tokens.redeem(this.#database, redemption)
  }

  keepSittings(tokenIds: readonly string[], until: number): Promise<void> {
    return tokens.keepSittings(this.#database, tokenIds, until)
  }

  findGrant(id: string): Promise<Grant | undefined> {
    return grants.findGrant(this.#database, id)
  }

  listGrants(wanted: grants.WantedGrants): Promise<readonly grants.ListedGrant[]> {
    return grants.listGrants(this.#database, wanted)
  }

  grantStates(ids: readonly string[]): Promise<readonly grants.GrantState[]> {
    return grants.grantStates(this.#database, ids)
  }

  leaseStandings(ids: readonly string[]): Promise<readonly LeaseStanding[]> {
    return grants.leaseStandings(this.#database, ids)
  }

  findApiKey(id: string): Promise<StoredApiKey | undefined> {
    return apiKeys.findApiKey(this.#database, id)
  }

  listApiKeys(wanted: apiKeys.WantedApiKeys): Promise<readonly ApiKey[]> {
    return apiKeys.listApiKeys(this.#database, wanted)
  }

  apiKeyUsed(id: string, at: number): Promise<void> {
    return apiKeys.apiKeyUsed(this.#database, id, at)
  }

  loginsOf(grantId: string, limit: number): Promise<readonly LeaseStanding[]> {
    return grants.loginsOf(this.#database, grantId, limit)
  }

  writeSessions(batch: sessions.SessionBatch): Promise<sessions.SessionBeat> {
    return sessions.writeSessions(this.#database, batch)
  }

  listSessions(wanted: WantedSessions, limit: number): Promise<readonly LiveSession[]> {
    return sessions.listSessions(this.#database, wanted, limit)
  }

  askToEnd(id: string): Promise<void> {
    return sessions.askToEnd(this.#database, id)
  }

  insertLease(lease: LeaseRecord): Promise<boolean> {
    return leases.insertLease(this.#database, lease)
  }

  completeLease(lease: LeaseRecord, now: number): Promise<boolean> {
    return leases.completeLease(this.#database, lease, now)
  }

  moveLease(id: string, expiresAt: number): Promise<void> {
    return leases.moveLease(this.#database, id, expiresAt)
  }

  renewLeases(ids: readonly string[]): Promise<string[]> {
    return leases.renewLeases(this.#database, ids)
  }

  endLease(id: string, result: LeaseEndResult): Promise<void> {
    return leases.endLease(this.#database, id, result)
  }

  openLeases(grantId: string): Promise<LeaseRecord[]> {
    return leases.openLeases(this.#database, grantId)
  }

  staleLeases(now: number, silentMs: number): Promise<StaleLease[]> {
    return leases.staleLeases(this.#database, now, silentMs)
  }

  claimLeases(ids: readonly string[]): Promise<string[]> {
    return leases.claimLeases(this.#database, ids)
  }

  orphanedLeases(silentMs: number): Promise<number> {
    return leases.orphanedLeases(this.#database, silentMs)
  }
}
