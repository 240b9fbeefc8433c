// The composition root: the only file that constructs adapters, in the order in which they start, and
// stops them in reverse. Decides nothing; that these parts fit is proved by the compiler, here.

import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { newGrant } from './access/grant.ts'
import { TokenLogin } from './access/login.ts'
import { SittingKeeper } from './access/sittings.ts'
import { issueToken } from './access/token.ts'
import { createApi } from './api/api.ts'
import { serveApi } from './api/serve.ts'
import { Journal } from './audit/journal.ts'
import { leaseIssueRecord, leaseProblemRecord, leaseRevokeRecord } from './audit/lease-record.ts'
import {
  journalCheckRecord,
  journalCloseRecord,
  proxyStartRecord,
  proxyStopRecord,
  tokenIssuedRecord,
} from './audit/record.ts'
import { Catalogs } from './catalog/catalogs.ts'
import { SnapshotReader } from './catalog/reader.ts'
import { readSnapshotFile, snapshotText } from './catalog/snapshot-file.ts'
import { readCertificate } from './certificates/files.ts'
import { CertificateWatch } from './certificates/watch.ts'
import type { IssuedToken, Operations, Running, TokenRequest } from './cli/operations.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Config, type ListenConfig, loadConfig } from './config/config.ts'
import { Administration, type Connect } from './credentials/administration.ts'
import { brokerCredentials } from './credentials/broker.ts'
import { Leases } from './credentials/leases.ts'
import type { LeaseOf, Revoked, RevokeFailed } from './credentials/ports.ts'
import { prepareDemo } from './demo/demo.ts'
import { Failure } from './errors.ts'
import { JournalFiles } from './journal/files.ts'
import { tailDirectory } from './journal/follow.ts'
import { verifyDirectory } from './journal/verify.ts'
import { Aside } from './parsing/aside.ts'
import { Catalog } from './policy/catalog.ts'
import { Policy } from './policy/policy.ts'
import { predefinedRoles } from './policy/roles.ts'
import { Listeners } from './proxy/listeners.ts'
import { loadParser } from './sql/analyse.ts'
import { Notifications } from './store/notifications.ts'
import { Store } from './store/store.ts'
import { leaseObserver } from './telemetry/lease-observer.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { certificateObserver, journalObserver } from './telemetry/observers.ts'
import { Connector } from './upstream/connector.ts'
import { packageVersion } from './version.ts'

/** The statement limit of `policy check` without a configuration: the configuration's default. */
const defaultStatementBytes = 1024 * 1024
const snapshotWithin = 60_000

export const operations: Operations = {
  serve: async ({ configFile, signal, onReady }) => {
    const config = await loadConfig(configFile)
    await serve(config, createLog(config.log.level), signal, onReady)
  },

  checkConfig: async (file) => {
    const { listen, targets } = await loadConfig(file)
    for (const { tls } of listen) if (tls !== undefined) await readCertificate(tls)
    new Connector(targets, systemClock)
  },

  issueToken: async (request) => issue(await loadConfig(request.configFile), request),

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

  verifyJournal: verifyDirectory,

  tailJournal: tailDirectory,

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
        for (const { occupation, ...terms } of prepared.people) {
          const token = await issue(config, {
            ...terms,
            target: prepared.target,
            forMs: 24 * 60 * 60 * 1000,
            kind: 'one-time',
          })
          people.push({ occupation, role: terms.role, token })
        }
        const { directory, configFile } = prepared
        onReady({ ...running, directory, configFile, people })
      })
    } finally {
      await prepared.stop()
    }
  },
}

/** Runs everything until `signal`. What was started is stopped whatever happens, last started first. */
async function serve(
  config: Config,
  log: Log,
  signal: AbortSignal,
  onReady: (running: Running) => void | Promise<void>,
): Promise<void> {
  const stops: { readonly part: string; readonly stop: () => void | Promise<void> }[] = []
  const started = (part: string, stop: () => void | Promise<void>): void => {
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
  started: (part: string, stop: () => void | Promise<void>) => void,
): Promise<Running> {
  const version = packageVersion()
  const instance = randomUUID()
  const problem =
    (part: string) =>
    (error: unknown): void =>
      log.warn({ part, err: error }, 'a background task failed and will be tried again')

  await loadParser()
  const aside = new Aside({ onProblem: problem('parsing of long texts') })
  started('parsing of long texts', () => aside.stop())
  const policy = new Policy(config.roles, {
    maxBytes: config.limits.statementBytes,
    analyseAside: (text, limits, gone) => aside.analyse(text, limits, gone),
  })
  const metrics = createMetrics(version, () => policy.memory)

  const files = JournalFiles.open({ ...config.journal, clock })
  started('journal files', () => files.storage.close())
  if (files.recovered !== undefined) {
    log.warn(
      { ...files.recovered },
      'half a record was cut off the journal: the last run was killed',
    )
  }
  const journal = new Journal(
    files.storage,
    files.tip,
    clock,
    journalObserver(metrics.journal, log),
  )
  await journal.record(proxyStartRecord(version, instance))
  started('journal', () => {
    journal.append(proxyStopRecord('shutdown'))
    journal.append(journalCloseRecord())
    journal.flush()
  })

  const store = await Store.open({ ...config.store, onProblem: problem('store') })
  started('store', () => store.close())

  const notices = new Notifications({
    url: config.store.url,
    instance,
    clock,
    onProblem: problem('notifications'),
  })
  notices.start()
  started('notifications', () => notices.stop())

  const connector = new Connector(config.targets, clock)
  const administrations = new Map(
    [...config.targets].map(([name, target]) => [
      name,
      new Administration(name, target, onPrimary(connector), problem('broker')),
    ]),
  )
  started('broker', async () => {
    await Promise.all([...administrations.values()].map((each) => each.close()))
  })
  const leases = new Leases({
    targets: new Map(
      [...config.targets].map(([name, target]) => [
        name,
        brokerCredentials(name, target, managed(administrations, name)),
      ]),
    ),
    store,
    clock,
    instance,
    observer: leaseObserver(metrics.leases, log, {
      issued: (lease: LeaseOf) => journal.append(leaseIssueRecord(lease)),
      revoked: (lease, end: Revoked) => journal.append(leaseRevokeRecord(lease, end)),
      problem: (lease, failed: RevokeFailed) => journal.append(leaseProblemRecord(lease, failed)),
    }),
  })
  leases.start()
  started('leases', () => leases.stop())

  const snapshots = new SnapshotReader(
    {
      inspect: (target, work, signal) => managed(administrations, target).inspect(work, signal),
    },
    (target) => catalogs.changed(target),
  )
  const catalogs = new Catalogs({
    refreshEveryMs: new Map(
      [...config.targets.values()]
        .filter(({ catalog }) => catalog.snapshot)
        .map(({ name, catalog }) => [name, catalog.refreshEveryMs]),
    ),
    read: (target, signal) => snapshots.read(target, signal),
    clock,
    onProblem: (target, error) =>
      log.warn({ target, err: error }, 'the catalog cannot be read and will be tried again'),
    meter: metrics,
  })
  catalogs.start()
  started('catalogs', () => catalogs.stop())

  const sittings = new SittingKeeper(store, clock, config.tokens, problem('sittings'))
  sittings.start()
  started('sittings', () => sittings.stop())

  const listenerOptions = []
  for (const listen of config.listen) {
    const { address, port, tls } = listen
    const observer = certificateObserver(`${bracketed(address)}:${port}`, metrics, log, clock)
    const certificates = tls && (await CertificateWatch.start({ files: tls, clock, observer }))
    if (certificates !== undefined) started('certificate', () => certificates.stop())
    listenerOptions.push({ ...listen, certificates })
  }
  const listeners = new Listeners(
    listenerOptions,
    { maxStatementBytes: config.limits.statementBytes },
    {
      tokens: new TokenLogin(store, clock, config.tokens),
      credentials: leases,
      upstream: connector,
      policy,
      journal,
      targets: config.targets,
      requestable: () => [...config.targets.keys()],
      sittings,
      catalogs,
      notices,
      clock,
      meter: metrics,
      log,
    },
  )
  const ports = await listeners.start()
  started('listeners', () => listeners.stop())

  const api = createApi({
    checks: [
      { name: 'store', check: () => store.ping(), limitMs: 2_000 },
      { name: 'journal', check: () => journalWorks(journal), limitMs: 1_000 },
    ],
    metrics,
    onDefect: (error) => log.error({ err: error }, 'the HTTP interface failed to answer'),
  })
  const http = await serveApi(api, config.http)
  started('http', () => http.close())

  log.info({ version, instance, ports, httpPort: http.port }, 'pgwarden is running')
  return {
    proxy: config.listen
      .map(({ address }, at) => `${bracketed(address)}:${ports[at]}`)
      .join(' and '),
    http: `http://${bracketed(config.http.address)}:${http.port}`,
    journalDirectory: config.journal.directory,
  }
}

function managed<T>(targets: ReadonlyMap<string, T>, name: string): T {
  const target = targets.get(name)
  if (target !== undefined) return target
  throw new Failure('not_found', { message: `there is no target "${name}"` })
}

/** Roles are made, and catalogs read, where that is possible whatever sessions are wanted of a target. */
function onPrimary(connector: Connector): Connect {
  return (request) => connector.connect({ ...request, attributes: 'primary' })
}

/** The text of a snapshot taken now, past any running pgwarden. */
async function snapshot(config: Config, name: string): Promise<string> {
  const target = config.targets.get(name)
  if (target === undefined) {
    throw new Failure('not_found', {
      message: `there is no target "${name}"`,
      hint: `Choose one of ${[...config.targets.keys()].join(', ')}.`,
    })
  }
  await loadParser()
  const connect = onPrimary(new Connector(config.targets, systemClock))
  const administration = new Administration(name, target, connect, () => undefined)
  try {
    const reader = new SnapshotReader({
      inspect: (_, work, signal) => administration.inspect(work, signal),
    })
    return snapshotText(await reader.read(name, AbortSignal.timeout(snapshotWithin)))
  } finally {
    await administration.close()
  }
}

/** A grant and a token of it, on the word of whoever may read the configuration. */
async function issue(config: Config, request: TokenRequest | DemoRequest): Promise<IssuedToken> {
  const clock = systemClock
  const { principal, target, role, forMs, kind, reason } = request
  const listen = advised(config)
  const roles = new Set(config.roles.map(({ name }) => name))
  const now = clock.now()
  const grant = newGrant(
    { principal, target, role, startsAt: now, durationMs: forMs, reason },
    { roles, targets: config.targets },
  )
  const token = await issueToken(grant, kind, now, config.tokens)
  const store = await Store.open({ ...config.store, connections: 1, onProblem: () => undefined })
  try {
    // Recorded first: access that the journal does not know of must not exist.
    await recordIssue(config, clock, tokenIssuedRecord({ grant, tokenId: token.record.id, kind }))
    await store.insertGrant(grant)
    await store.insertToken(token.record)
  } finally {
    await store.close()
  }
  return {
    token: token.text,
    tokenId: token.record.id,
    grantId: grant.id,
    endsAt: grant.endsAt,
    redeemBy: kind === 'reusable' ? undefined : token.record.redeemBy,
    connection: {
      host: reachable(listen.address),
      port: listen.port,
      database: target,
      user: principal,
      sslmode: listen.tls === undefined ? 'disable' : 'require',
    },
  }
}

type DemoRequest = Omit<TokenRequest, 'configFile'>

/** Into a chain of its own: the proxy's belongs to the proxy. Waits for another operator's turn. */
async function recordIssue(config: Config, clock: Clock, fields: string): Promise<void> {
  for (let triesLeft = 20; ; triesLeft--) {
    try {
      const files = JournalFiles.open({ ...config.journal, clock, chain: 'operator' })
      try {
        const journal = new Journal(files.storage, files.tip, clock)
        await journal.record(fields)
        await journal.record(journalCloseRecord())
        return
      } finally {
        files.storage.close()
      }
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Failure)) throw error
      await sleep(100)
    }
  }
}

/** After a failed write only another write can show that all is well, and traffic may stay away. */
async function journalWorks(journal: Journal): Promise<void> {
  if (!journal.healthy) await journal.record(journalCheckRecord())
}

/** The listener that a client is best sent to: one with TLS, where there is one. */
function advised({ listen: [first, ...more] }: Config): ListenConfig {
  return first.tls === undefined ? (more.find(({ tls }) => tls !== undefined) ?? first) : first
}

/** Where a client on this machine finds a listener that is bound to every address. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
