// The API put together: the desk and everything behind it. Part of the composition root, like targets.ts;
// decides nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { recordAlone } from '../access/ledger.ts'
import { openDesk } from '../access/open-desk.ts'
import { SessionsDesk } from '../access/sessions-desk.ts'
import type { Api } from '../api/context.ts'
import type { ApiObserver } from '../api/ports.ts'
import { createV1 } from '../api/v1.ts'
import type { Config } from '../config/config.ts'
import { reachableProxy } from '../config/reachable.ts'
import { same } from '../config/same.ts'
import { Authenticator } from '../identity/authenticator.ts'
import { JournalReader } from '../journal/reader.ts'
import { Networks, networkOf } from '../proxy/networks.ts'
import type { Store } from '../store/store.ts'
import type { Ground } from './ground.ts'
import type { Reload } from './reload.ts'
import type { Run } from './run.ts'

interface Surroundings {
  readonly authenticator: Authenticator
  readonly observer: ApiObserver
  readonly reload: Reload
  readonly version: string
  readonly stopping: AbortSignal
}

/** By a configuration; the run's own, or one that was read later. */
export function openApi(run: Run, ground: Ground, config: Config, surroundings: Surroundings): Api {
  const { clock } = run
  const { store, journal, ledger, registry, guard, notices } = ground
  const { authenticator, observer, version, reload, stopping } = surroundings
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
  const allowed = new Networks(http.allowPlaintextFrom)
  return createV1({
    desk: openDesk({ ...ledger, store: store.desk, rules, tokens }),
    authenticator,
    reload,
    sessions,
    progress: sessions,
    lockOuts: guard,
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

/**
 * Who tells callers apart, by a configuration: the same as long as it asks for the same claims, since it knows
 * the identity provider's keys.
 */
export function authenticators(run: Run, keys: Store): (config: Config) => Authenticator {
  let made:
    | { readonly claims: readonly string[]; readonly authenticator: Authenticator }
    | undefined
  return ({ identity, access: { claims } }) => {
    if (made === undefined || !same(made.claims, claims)) {
      const oidc = identity.oidc && { ...identity.oidc, claims }
      const onProblem = run.problem('API keys')
      made = {
        claims,
        authenticator: Authenticator.of({ oidc, keys, clock: run.clock, onProblem }),
      }
    }
    return made.authenticator
  }
}
