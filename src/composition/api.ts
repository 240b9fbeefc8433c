// The API put together: the desk and everything behind it. Part of the composition root, like targets.ts;
// decides nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { recordAlone } from '../access/ledger.ts'
import { openDesk } from '../access/open-desk.ts'
import { SessionsDesk } from '../access/sessions-desk.ts'
import type { Api } from '../api/context.ts'
import type { ApiObserver } from '../api/ports.ts'
import { createV1 } from '../api/v1.ts'
import { reachableProxy } from '../config/reachable.ts'
import { Authenticator } from '../identity/authenticator.ts'
import { JournalReader } from '../journal/reader.ts'
import { Networks, networkOf } from '../proxy/networks.ts'
import type { Ground } from './ground.ts'
import type { Run } from './run.ts'

interface Surroundings {
  readonly observer: ApiObserver
  readonly version: string
  readonly stopping: AbortSignal
}

export function openApi(run: Run, ground: Ground, surroundings: Surroundings): Api {
  const { config, clock, problem } = run
  const { store, journal, ledger, registry, guard, notices } = ground
  const { observer, version, stopping } = surroundings
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
    authenticator: Authenticator.of({ oidc, keys: store, clock, onProblem: problem('API keys') }),
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
