// The composition root: the only file that constructs adapters, in the order in which they start, and
// stops them in reverse. Decides nothing; that these parts fit is proved by the compiler, here.

import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Change } from '../access/change.ts'
import { GrantChanges } from '../access/grant-changes.ts'
import { Hours } from '../access/hours.ts'
import { scopes } from '../access/identity.ts'
import { type LedgerPorts, recordAlone } from '../access/ledger.ts'
import { TokenLogin } from '../access/login.ts'
import { LoginGuard } from '../access/login-guard.ts'
import { needsOf } from '../access/rules.ts'
import { SittingKeeper } from '../access/sittings.ts'
import { createApi } from '../api/api.ts'
import { serveApi } from '../api/serve.ts'
import { certificateLoadedRecord } from '../audit/certificate-record.ts'
import { changesIn } from '../audit/change-journal.ts'
import type { Journal } from '../audit/journal.ts'
import { SnapshotReader } from '../catalog/reader.ts'
import { readSnapshotFile, snapshotText } from '../catalog/snapshot-file.ts'
import { type Certificate, type CertificateFiles, readCertificate } from '../certificates/files.ts'
import { CertificateWatch } from '../certificates/watch.ts'
import type { Operations, Running } from '../cli/operations.ts'
import { type Clock, systemClock } from '../clock.ts'
import { type Config, loadConfig } from '../config/config.ts'
import { unobserved } from '../credentials/vault/observer.ts'
import { openVault } from '../credentials/vault/vault.ts'
import { prepareDemo } from '../demo/demo.ts'
import { Notifier } from '../notifications/notifier.ts'
import { Aside } from '../parsing/aside.ts'
import { Catalog } from '../policy/catalog.ts'
import { Policy } from '../policy/policy.ts'
import { predefinedRoles } from '../policy/roles.ts'
import { Listeners } from '../proxy/listeners.ts'
import { SessionRegistry } from '../proxy/session-registry.ts'
import { loadParser } from '../sql/analyse.ts'
import { Notices } from '../store/notices.ts'
import { Store } from '../store/store.ts'
import { apiObserver } from '../telemetry/api-observer.ts'
import { createLog, type Log, standardError } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { notificationObserver } from '../telemetry/notification-observer.ts'
import { certificateObserver } from '../telemetry/observers.ts'
import { Connector } from '../upstream/connector.ts'
import { packageVersion } from '../version.ts'
import { publicKeysOf } from './checkpoints.ts'
import { openControlPlane } from './control-plane.ts'
import { examination } from './examination.ts'
import { journalWorks, openJournal } from './journal.ts'
import { issue, listGrants, revoke } from './operator.ts'
import { createKey, listKeys, revokeKey } from './operator-keys.ts'
import { liftLockOut, listLockOuts } from './operator-lockouts.ts'
import { queryJournal, tailJournal } from './operator-reading.ts'
import { configuredTarget, drift, grants, lookingInto } from './privileges.ts'
import { problemsInto, type Run, type Stop } from './run.ts'
import { openUpstreams, startVault } from './upstreams.ts'
import { verifyJournal } from './verify.ts'

/** The statement limit of `policy check` without a configuration: the configuration's default. */
const defaultStatementBytes = 1024 * 1024
const snapshotWithin = 60_000
/** How long what the demo hands out is good. */
const demoMs = 24 * 60 * 60 * 1000

export const operations: Operations = {
  serve: async ({ configFile, signal, onReady }) => {
    const config = await loadConfig(configFile)
    await serve(config, createLog(config.log.level, logDestination(config)), signal, onReady)
  },

  checkConfig: async (file) => {
    const { listen, http, targets, vault } = await loadConfig(file)
    for (const { tls } of listen) if (tls !== undefined) await readCertificate(tls)
    if (http.tls !== undefined) await readCertificate(http.tls)
    new Connector(targets, systemClock)
    if (vault !== undefined) openVault(vault, { clock: systemClock, observer: unobserved })
  },

  doctor: examination,

  issueToken: async (request) => issue(await loadConfig(request.configFile), request),

  listGrants: async ({ configFile, all }) => listGrants(await loadConfig(configFile), all),

  revokeGrant: async (request) => revoke(await loadConfig(request.configFile), request),

  createKey: async ({ configFile, ...request }) => createKey(await loadConfig(configFile), request),

  listKeys: async ({ configFile, all }) => listKeys(await loadConfig(configFile), all),

  revokeKey: async ({ configFile, id }) => revokeKey(await loadConfig(configFile), id),

  listLockOuts: async ({ configFile }) => listLockOuts(await loadConfig(configFile)),

  liftLockOut: async ({ configFile, id }) => liftLockOut(await loadConfig(configFile), id),

  policy: async ({ configFile }) => {
    await loadParser()
    if (configFile === undefined) {
      return new Policy(predefinedRoles, { maxBytes: defaultStatementBytes })
    }
    const { roles, limits } = await loadConfig(configFile)
    return new Policy(roles, { maxBytes: limits.statementBytes })
  },

  catalog: async (file) => Catalog.of(await readSnapshotFile(file)),

  snapshot: async ({ configFile, target }) => snapshot(await loadConfig(configFile), target),

  grants,

  drift,

  verifyJournal,

  publicKeys: async ({ configFile }) => publicKeysOf(await loadConfig(configFile)),

  tailJournal,

  queryJournal,

  demo: async ({ signal, onReady, ...options }) => {
    const prepared = await prepareDemo(options)
    try {
      const config = await loadConfig(prepared.configFile)
      const log = createLog(
        config.log.level,
        createWriteStream(join(prepared.directory, 'pgwarden.log'), { flags: 'a', mode: 0o600 }),
      )
      options.onStep('Starting the proxy')
      await serve(config, log, signal, async (running) => {
        const people = []
        for (const { occupation, groups, ...terms } of prepared.people) {
          const { target } = prepared
          const token = await issue(config, { ...terms, target, forMs: demoMs, kind: 'one-time' })
          const { principal } = terms
          const person = { principal, kind: 'person', groups, scopes, claims: {} } as const
          const key = await createKey(config, { ...person, forMs: demoMs })
          people.push({ occupation, role: terms.role, token, key: key.text })
        }
        const { directory, configFile } = prepared
        onReady({ ...running, directory, configFile, people })
      })
    } finally {
      await prepared.stop()
    }
  },
}

/** Where standard output is a sink, nothing but records is written there. */
function logDestination({ audit }: Config): 1 | typeof standardError {
  return audit.sinks.some(({ type }) => type === 'stdout') ? standardError : 1
}

/** Runs everything until `signal`. What was started is stopped whatever happens, last started first. */
async function serve(
  config: Config,
  log: Log,
  signal: AbortSignal,
  onReady: (running: Running) => void | Promise<void>,
): Promise<void> {
  const stops: { readonly part: string; readonly stop: Stop }[] = []
  const started = (part: string, stop: Stop): void => {
    stops.push({ part, stop })
  }
  try {
    const running = await start(config, log, systemClock, started)
    await onReady(running)
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    }
  } finally {
    for (const { part, stop } of stops.reverse()) {
      try {
        await stop()
      } catch (error) {
        log.error({ part, err: error }, 'a part did not stop cleanly')
      }
    }
  }
}

async function start(
  config: Config,
  log: Log,
  clock: Clock,
  started: Run['started'],
): Promise<Running> {
  const problem = problemsInto(log)
  await loadParser()
  const aside = new Aside({ onProblem: problem('parsing of long texts') })
  started('parsing of long texts', () => aside.stop())
  const policy = new Policy(config.roles, {
    maxBytes: config.limits.statementBytes,
    analyseAside: (text, limits, gone) => aside.analyse(text, limits, gone),
  })
  const version = packageVersion()
  const metrics = createMetrics(version, () => policy.memory)
  const run: Run = { config, log, clock, metrics, instance: randomUUID(), started, problem }

  const vault = startVault(run)
  const journal = await openJournal(run, version, vault)

  const store = await Store.open({ ...config.store, onProblem: problem('store') })
  started('store', () => store.close())

  const notices = new Notices({
    url: config.store.url,
    instance: run.instance,
    clock,
    onProblem: problem('notices'),
  })
  notices.start()
  started('notices', () => notices.stop())

  const { connector, leases, catalogs } = openUpstreams(run, store, journal, vault)

  const sittings = new SittingKeeper(store, clock, config.tokens, problem('sittings'))
  sittings.start()
  started('sittings', () => sittings.stop())

  const notifier = new Notifier(config.notifications, {
    outbox: store.outbox,
    surroundings: {
      url: config.http.url,
      needs: ({ target, role, groups }) => needsOf(config.access, target, role, groups),
    },
    observer: notificationObserver(metrics.notifications(), log),
    clock,
  })
  notifier.start()
  started('channels', () => notifier.stop())

  const listenerOptions = []
  for (const listen of config.listen) {
    listenerOptions.push({
      ...listen,
      certificates: await watchCertificate(run, journal, listen, listen.tls),
    })
  }
  const registry = new SessionRegistry({ store, notices, onProblem: problem('sessions') })
  registry.start()
  started('sessions', () => registry.stop())
  const ledger: LedgerPorts = {
    store: store.desk,
    clock,
    ...changesIn(journal),
    committed: (changes) => {
      for (const change of changes) takeEffect(change, listeners, notices)
      notifier.wake()
    },
  }
  const guard = new LoginGuard({
    store: store.loginFailures,
    rules: config.logins,
    clock,
    record: (change) => recordAlone(ledger, change),
    onProblem: problem('failed logins'),
  })
  guard.start()
  started('failed logins', () => guard.stop())
  const changes = new GrantChanges()
  const listeners = new Listeners(
    listenerOptions,
    { maxStatementBytes: config.limits.statementBytes },
    {
      tokens: new TokenLogin(store, clock, config.tokens, changes),
      credentials: leases,
      upstream: connector,
      policy,
      journal,
      targets: config.targets,
      requestable: () => [...config.targets.keys()],
      guard,
      publicUrl: config.http.url,
      sittings,
      catalogs,
      notices,
      changes,
      grants: store,
      registry,
      recording: config.audit.recording,
      clock,
      meter: metrics,
      log,
    },
  )
  const ports = await listeners.start()
  started('listeners', () => listeners.stop())

  const hours = new Hours({ ...ledger, onProblem: problem('hours') })
  hours.start()
  started('hours', () => hours.stop())

  const observer = apiObserver(metrics.api(), log)
  const stopping = new AbortController()
  const api = createApi({
    checks: [
      { name: 'store', check: () => store.ping(), limitMs: 2_000 },
      ...(vault === undefined
        ? []
        : [{ name: 'vault', check: () => vault.check(), limitMs: 5_000, dispensable: true }]),
      { name: 'journal', check: () => journalWorks(journal), limitMs: 1_000 },
    ],
    metrics,
    v1: openControlPlane({
      ...{ config, store, journal, ledger, registry, notices, clock, version, observer },
      lockOuts: guard,
      onProblem: problem('API keys'),
      stopping: stopping.signal,
    }),
    onDefect: observer.defect,
  })
  const http = await serveApi(api, {
    ...config.http,
    certificates: await watchCertificate(run, journal, config.http, config.http.tls),
  })
  started('http', () => {
    stopping.abort()
    return http.close()
  })

  log.info({ version, instance: run.instance, ports, httpPort: http.port }, 'pgwarden is running')
  return {
    proxy: config.listen
      .map(({ address }, at) => `${bracketed(address)}:${ports[at]}`)
      .join(' and '),
    http: `${config.http.tls ? 'https' : 'http'}://${bracketed(config.http.address)}:${http.port}`,
    journalDirectory: config.journal.directory,
  }
}

/** The text of a snapshot taken now, past any running pgwarden. */
async function snapshot(config: Config, name: string): Promise<string> {
  configuredTarget(config, name)
  return lookingInto(config, async (inspection) => {
    const reader = new SnapshotReader(inspection)
    return snapshotText(await reader.read(name, AbortSignal.timeout(snapshotWithin)))
  })
}

/** Reads them again when they change, for as long as it runs. */
async function watchCertificate(
  { metrics, log, clock, started }: Run,
  journal: Journal,
  { address, port }: { readonly address: string; readonly port: number },
  files: CertificateFiles | undefined,
): Promise<CertificateWatch | undefined> {
  if (files === undefined) return undefined
  const listener = `${bracketed(address)}:${port}`
  const observer = certificateObserver(listener, metrics, log, clock)
  const loaded = (certificate: Certificate): void => {
    journal.append(certificateLoadedRecord(listener, certificate))
    observer.loaded(certificate)
  }
  const certificates = await CertificateWatch.start({
    files,
    clock,
    observer: { ...observer, loaded },
  })
  started('certificate', () => certificates.stop())
  return certificates
}

/** On sessions and logins, here and in the other processes; a look at the store every few seconds is behind it. */
function takeEffect(change: Change, listeners: Listeners, notices: Notices): void {
  switch (change.type) {
    case 'grant.revoked':
      void notices.tell('grant.revoked', { grant: change.grant.id })
      listeners.grantRevoked(change.grant.id)
      return
    case 'grant.extended':
      void notices.tell('grant.extended', { grant: change.grant.id })
      listeners.grantExtended(change.grant.id)
      return
    default:
      return
  }
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
