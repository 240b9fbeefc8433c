// What both planes stand on: the journal, the store, what the processes that share it tell each other, and
// the books that changes are entered in. Part of the composition root; decides nothing.

import type { Change } from '../access/change.ts'
import { type LedgerPorts, recordAlone } from '../access/ledger.ts'
import { LoginGuard } from '../access/login-guard.ts'
import { changesIn } from '../audit/change-journal.ts'
import type { Journal } from '../audit/journal.ts'
import type { Vault } from '../credentials/vault/vault.ts'
import { SessionRegistry } from '../proxy/session-registry.ts'
import { Notices } from '../store/notices.ts'
import { Store } from '../store/store.ts'
import { openJournal, type Ships } from './journal.ts'
import type { Run } from './run.ts'
import { startVault } from './vault.ts'

export interface Ground {
  readonly vault: Vault | undefined
  readonly journal: Journal
  readonly store: Store
  readonly notices: Notices
  /** The sessions of this process. */
  readonly registry: SessionRegistry
  readonly ledger: LedgerPorts
  readonly guard: LoginGuard
  /** From now on `heard` is told what this process has changed, when it is committed. */
  hear(heard: (change: Change) => void): void
}

export async function openGround(run: Run, version: string, ships: Ships): Promise<Ground> {
  const { config, inForce, clock, instance, metrics, started, problem } = run
  const vault = startVault(run)
  const journal = await openJournal(run, version, vault, ships)

  const store = await Store.open({ ...config.store, onProblem: problem('store') })
  started('store', () => store.close())
  metrics.store(() => store.connections)

  const notices = new Notices({
    url: config.store.url,
    instance,
    clock,
    onProblem: problem('notices'),
  })
  notices.start()
  started('notices', () => notices.stop())

  const registry = new SessionRegistry({ store, notices, onProblem: problem('sessions') })
  registry.start()
  started('sessions', () => registry.stop())

  const hearers: ((change: Change) => void)[] = [(change) => tellOthers(change, notices)]
  const ledger: LedgerPorts = {
    store: store.desk,
    clock,
    ...changesIn(journal),
    committed: (changes) => {
      for (const change of changes) for (const heard of hearers) heard(change)
    },
  }
  const guard = new LoginGuard({
    store: store.loginFailures,
    rules: () => inForce.current.logins,
    clock,
    record: (change) => recordAlone(ledger, change),
    onProblem: problem('failed logins'),
  })
  guard.start()
  started('failed logins', () => guard.stop())
  const hear: Ground['hear'] = (heard) => void hearers.push(heard)
  return { vault, journal, store, notices, registry, ledger, guard, hear }
}

/** The other processes that serve sessions; a look at the store every few seconds is behind it. */
function tellOthers(change: Change, notices: Notices): void {
  switch (change.type) {
    case 'grant.revoked':
    case 'grant.extended':
      void notices.tell(change.type, { grant: change.grant.id })
      return
    default:
      return
  }
}
