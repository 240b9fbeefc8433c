// The control plane put together: the desk and everything behind it, for the API to serve. Part of the
// composition root, like targets.ts; decides nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { type LedgerPorts, recordAlone } from '../access/ledger.ts'
import { openDesk } from '../access/open-desk.ts'
import { SessionsDesk } from '../access/sessions-desk.ts'
import type { Api } from '../api/context.ts'
import type { ApiObserver, LockOuts } from '../api/ports.ts'
import { createV1 } from '../api/v1.ts'
import type { Journal } from '../audit/journal.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { reachableProxy } from '../config/reachable.ts'
import { Authenticator } from '../identity/authenticator.ts'
import { JournalReader } from '../journal/reader.ts'
import { Networks, networkOf } from '../proxy/networks.ts'
import type { SessionRegistry } from '../proxy/session-registry.ts'
import type { Notices } from '../store/notices.ts'
import type { Store } from '../store/store.ts'

export interface Surroundings {
  readonly config: Config
  readonly store: Store
  readonly journal: Journal
  readonly ledger: LedgerPorts
  readonly registry: SessionRegistry
  readonly lockOuts: LockOuts
  readonly notices: Notices
  readonly clock: Clock
  readonly version: string
  readonly observer: ApiObserver
  readonly onProblem: (error: unknown) => void
  readonly stopping: AbortSignal
}

export function openControlPlane(surroundings: Surroundings): Api {
  const { config, store, journal, ledger, registry, lockOuts, notices, clock } = surroundings
  const { version, observer, onProblem, stopping } = surroundings
  const { access: rules, identity, tokens, http } = config
  const sessions = new SessionsDesk({
    store,
    here: registry,
    tell: (session) => notices.tell('session.end', { session }),
    record: (change) => recordAlone(ledger, change),
    rules,
    clock,
    sleep: (ms) => sleep(ms),
  })
  const oidc = identity.oidc && { ...identity.oidc, claims: rules.claims }
  const allowed = new Networks(http.allowPlaintextFrom)
  return createV1({
    desk: openDesk({ ...ledger, store: store.desk, rules, tokens }),
    authenticator: Authenticator.of({ oidc, keys: store, clock, onProblem }),
    sessions,
    progress: sessions,
    lockOuts,
    audit: new JournalReader(config.journal),
    record: (fields) => journal.record(fields),
    note: (fields) => void journal.append(fields),
    keys: store.idempotencyKeys,
    rules,
    proxy: reachableProxy(config),
    login: {
      issuer: identity.oidc?.issuer,
      clientId: identity.oidc?.clientId,
      scopes: identity.oidc?.scopes,
    },
    peers: { mayComePlain: (address) => allowed.has(address), networkOf },
    clock,
    version,
    observer,
    stopping,
  })
}
