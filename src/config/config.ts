// A configuration file, read: YAML in, typed and checked values out, or every problem with its file,
// line, column and path. Ignorant of what the values are for.

import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import type { LoginRules } from '../access/login-guard.ts'
import type { AccessRules } from '../access/rules.ts'
import { Failure } from '../errors.ts'
import { compileRoles } from '../policy/permissions.ts'
import { predefinedRoles, type RoleDefinition } from '../policy/roles.ts'
import { Secret } from '../secret.ts'
import { type AccessTarget, accessOf, accessProblems } from './access.ts'
import type { NamePart } from './application-name.ts'
import { type AuditConfig, auditOf, auditProblems } from './audit.ts'
import { type CredentialsConfig, credentialsOf, credentialsProblems } from './credentials.ts'
import { Settings } from './differences.ts'
import { type HttpConfig, httpOf } from './http.ts'
import { type IdentityConfig, identityOf } from './identity.ts'
import { asksVault, type JournalConfig, journalOf } from './journal.ts'
import { type LimitsConfig, limitOf, limitsOf, type TimesConfig, timesOf } from './limits.ts'
import { loginsOf } from './logins.ts'
import { type ChannelConfig, channelProblems, channelsOf } from './notifications.ts'
import {
  danglingAlias,
  invalid,
  type Problem,
  problemsOf,
  type Source,
  unparsable,
} from './problems.ts'
import { configSchema, type RawConfig } from './schema.ts'
import { type RawTarget, type ServerConfig, serverProblems, serversOf } from './servers.ts'
import { claimsNeeded, contextOf, type SessionContext } from './session-context.ts'
import { loopback } from './values.ts'
import { type VaultConfig, vaultOf, vaultProblems } from './vault.ts'

export interface Config {
  /** Of the file, in lower-case hexadecimal. */
  readonly sha256: string
  /** What it was made of, for other processes of the same run: the file may be another by then. */
  readonly source: {
    readonly file: string
    readonly text: Secret
    /** What it names and was read with it, by absolute path: there may be something else by now, or nothing. */
    readonly files: ReadonlyMap<string, Secret>
  }
  /** How many processes serve clients: 1, and this one does everything. `auto` is one for each core. */
  readonly workers: number | 'auto'
  /** All of it as it was read, to be compared with another. */
  readonly settings: Settings
  readonly listen: readonly [ListenConfig, ...ListenConfig[]]
  readonly http: HttpConfig
  readonly identity: IdentityConfig
  readonly logins: LoginRules
  readonly store: { readonly url: Secret }
  readonly journal: JournalConfig
  readonly audit: AuditConfig
  readonly log: RawConfig['log']
  readonly shutdown: {
    /** How long what runs may go on, once nothing is accepted any more. */
    readonly drainTimeoutMs: number
    /** How long logins are still accepted when it has been said that this process is not ready. */
    readonly delayMs: number
  }
  readonly limits: LimitsConfig
  readonly tokens: {
    readonly redeemWithinMs: number
    readonly sittingGraceMs: number
    readonly sittingLogins: number
  }
  readonly vault: VaultConfig | undefined
  /** Who is told of changes. */
  readonly notifications: readonly ChannelConfig[]
  /** The predefined roles, then the operator's in the order of the file. */
  readonly roles: readonly RoleDefinition[]
  /** Who may ask for what, and who must approve it. */
  readonly access: AccessRules
  /** Maps, not objects: these names come from clients, and `constructor` is not a target. */
  readonly targets: ReadonlyMap<string, TargetConfig>
}

interface ListenConfig {
  readonly address: string
  readonly port: number
  /** Absolute paths of PEM files. */
  readonly tls:
    | {
        readonly certificate: string
        readonly key: string
        /** Whose certificates of clients are good; without it they are not asked for any. */
        readonly clientCa: string | undefined
      }
    | undefined
  /** Networks whose clients may log in without TLS. */
  readonly allowPlaintextFrom: readonly string[]
  /** How clients show their token: by proof, or by sending it. */
  readonly authentication: RawConfig['listen'][number]['authentication']
  /** Where clients reach it, when not at its address: for lines that are handed out. */
  readonly advertise: { readonly host: string; readonly port: number } | undefined
  readonly startupTimeoutMs: number
  /** Networks of load balancers that say by a PROXY protocol header whose connection theirs is. */
  readonly proxyProtocolFrom: readonly string[]
  readonly maxConnections: number
  /** Of one client's address (of IPv6, one /64); undefined: no limit of its own. */
  readonly maxConnectionsPerAddress: number | undefined
}

export interface TargetConfig {
  readonly name: string
  readonly database: string
  /** Other names by which clients may ask for it. */
  readonly aliases: readonly string[]
  /** TLS server names that lead to it, whatever else the client asks for. */
  readonly serverNames: readonly string[]
  /** `required`: nobody gets in without one that a listener's clientCa has signed. */
  readonly clientCertificate: 'none' | 'required'
  /** In the order in which they are tried. */
  readonly servers: readonly ServerConfig[]
  readonly targetSessionAttrs: RawTarget['targetSessionAttrs']
  /** For a whole login, all servers together. */
  readonly connectTimeoutMs: number
  readonly requireAuth: RawTarget['requireAuth']
  readonly channelBinding: RawTarget['channelBinding']
  readonly limits: TimesConfig
  /** Under which name PostgreSQL shows its sessions; without parts, the one that the client gives. */
  readonly applicationName: readonly NamePart[]
  readonly catalog: {
    /** Whether functions, views and types of the target are read, to judge statements by them. */
    readonly snapshot: boolean
    /** The longest time between two reads. */
    readonly refreshEveryMs: number
  }
  /** Settings that say who a session is, for row-level security; no statement may change them. */
  readonly sessionContext: SessionContext
  /** Patterns of relations that only roles with `sensitive: true` may touch. */
  readonly sensitive: readonly string[]
  readonly credentials: CredentialsConfig
}

/** @throws Failure invalid_configuration */
export async function loadConfig(path: string): Promise<Config> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Failure(
      'invalid_configuration',
      {
        message: `${path}: the configuration cannot be read`,
        hint: 'Copy config/pgwarden.example.yaml and give its path with --config.',
      },
      { cause },
    )
  })
  return parseConfig(text, path)
}

/**
 * `fileName` stands in the messages, and relative paths start at its directory. `known` are the texts of files
 * that were read before, by absolute path, and are not read again.
 * @throws Failure invalid_configuration
 */
export function parseConfig(
  text: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
  known: ReadonlyMap<string, string> = new Map(),
): Config {
  const lines = new LineCounter()
  // Several databases on one server share most of their lines: merge keys (`<<: *anchor`).
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true })
  const source = { fileName, document, lines }
  const [broken] = document.errors
  if (broken !== undefined) throw unparsable(source, broken.pos[0], broken.message)
  const directory = dirname(resolve(fileName))
  const fromHere = (path: string): string => resolve(directory, path)
  const files = new Map<string, Secret>()
  const read = (path: string): string => {
    const there = fromHere(path)
    const found = known.get(there) ?? readFileSync(there, 'utf8')
    files.set(there, new Secret(found))
    return found
  }
  const schema = configSchema({ env, readFile: read }, fromHere)
  const written = plain(source)
  const parsed = schema.safeParse(written)
  if (!parsed.success) throw invalid(source, problemsOf(parsed.error.issues, source))

  const roles = Object.entries(parsed.data.roles).map(([name, role]) => ({ name, ...role }))
  const roleNames = new Set([...predefinedRoles, ...roles].map(({ name }) => name))
  const problems = [
    ...disagreements(parsed.data),
    ...nameClashes(parsed.data.targets),
    ...(parsed.data.vault === undefined ? [] : vaultProblems(parsed.data.vault)),
    ...channelProblems(parsed.data.notifications),
    ...roleProblems(roles),
    ...accessProblems(parsed.data.access, roleNames, accessTargets(parsed.data)),
    ...auditProblems(parsed.data.audit, roleNames),
  ]
  if (problems.length > 0) throw invalid(source, problems)
  return {
    ...configOf(parsed.data, [...predefinedRoles, ...roles]),
    sha256: hash('sha256', text, 'hex'),
    source: { file: resolve(fileName), text: new Secret(text), files },
    settings: new Settings(parsed.data, written),
  }
}

/** The document as plain values. Aliases that multiply into the millions are refused by the parser. */
function plain(source: Source): unknown {
  try {
    return source.document.toJS()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw unparsable(source, danglingAlias(source), message)
  }
}

/** What is right by itself and wrong beside the rest. */
function disagreements(raw: RawConfig): Problem[] {
  const { workers, listen, http, vault, roles, targets, journal } = raw
  const problems: Problem[] = []
  if (workers !== 1 && vault?.auth.method === 'approle' && vault.auth.wrapped) {
    const message = 'a wrapped secret id is good for one login, and each of the workers logs in'
    problems.push({ path: ['vault', 'auth', 'wrapped'], message })
  }
  if (asksVault(journal) && vault === undefined) {
    const message = 'there is no section vault to say where it is'
    problems.push({ path: ['journal', 'checkpoints', 'key'], message })
  }
  const places = listen.map(({ address, port }) => `${address} ${port}`)
  if (places.includes(`${http.address} ${http.port}`)) {
    problems.push({ path: ['http', 'port'], message: 'the same address and port as listen' })
  }
  const { metrics } = http
  const scraped = `${metrics.address ?? '127.0.0.1'} ${metrics.port}`
  if ([...places, `${http.address} ${http.port}`].includes(scraped)) {
    const message = 'the same address and port as listen or http'
    problems.push({ path: ['http', 'metrics', 'port'], message })
  }
  for (const [at, place] of places.entries()) {
    if (places.indexOf(place) === at) continue
    const message = 'another listener has the same address and port'
    problems.push({ path: ['listen', at, 'port'], message })
  }
  if (Object.keys(targets).length === 0) {
    problems.push({ path: ['targets'], message: 'expected at least one target' })
  }
  const known = new Set([...predefinedRoles.map(({ name }) => name), ...Object.keys(roles)])
  const asksClients = listen.some(({ tls }) => tls?.clientCa !== undefined)
  for (const [target, raw] of Object.entries(targets)) {
    const { credentials, clientCertificate, catalog } = raw
    problems.push(...serverProblems(['targets', target], raw))
    if (clientCertificate === 'required' && !asksClients) {
      const message = 'no listener asks clients for certificates: give one a tls.clientCa'
      problems.push({ path: ['targets', target, 'clientCertificate'], message })
    }
    const at = ['targets', target, 'credentials']
    problems.push(
      ...credentialsProblems(at, credentials, {
        roles: known,
        hasVault: vault !== undefined,
        snapshot: catalog.snapshot,
      }),
    )
  }
  return problems
}

/** A name that leads to two targets leads to the wrong one half of the time. */
function nameClashes(targets: RawConfig['targets']): Problem[] {
  const problems: Problem[] = []
  const owners = new Map(Object.keys(targets).map((name) => [name, name]))
  const hosts = new Map<string, string>()
  for (const [target, { aliases, serverNames }] of Object.entries(targets)) {
    const claim = (taken: Map<string, string>, key: string, names: readonly string[]): void => {
      for (const [at, name] of names.entries()) {
        const owner = taken.get(name)
        if (owner === undefined) taken.set(name, target)
        else {
          const message = `"${name}" leads to target ${owner} already`
          problems.push({ path: ['targets', target, key, at], message })
        }
      }
    }
    claim(owners, 'aliases', aliases)
    claim(hosts, 'serverNames', serverNames)
  }
  return problems
}

/** policy/ knows which commands, functions and settings there are; here is known where they stand. */
function roleProblems(roles: readonly RoleDefinition[]): Problem[] {
  const problems: Problem[] = []
  const predefined = new Set(predefinedRoles.map(({ name }) => name))
  const sound = [...predefinedRoles]
  for (const role of roles) {
    const path = ['roles', role.name]
    if (predefined.has(role.name)) {
      const message = 'this role is predefined; give yours another name'
      problems.push({ path, message, atKey: true })
      continue
    }
    try {
      compileRoles([...sound, role])
      sound.push(role)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      problems.push({ path, message: error.detail ?? error.message, atKey: true })
    }
  }
  return problems
}

function configOf(
  raw: RawConfig,
  roles: readonly RoleDefinition[],
): Omit<Config, 'sha256' | 'source' | 'settings'> {
  const { tokens } = raw
  const [first, ...more] = raw.listen
  const targets = new Map(
    Object.entries(raw.targets).map(([name, target]) => [name, targetOf(name, target, raw)]),
  )
  const contexts = [...targets.values()].map(({ sessionContext }) => sessionContext)
  return {
    workers: raw.workers,
    listen: [listenerOf(first), ...more.map(listenerOf)],
    http: httpOf(raw.http),
    identity: identityOf(raw.identity),
    logins: loginsOf(raw.logins),
    store: raw.store,
    journal: journalOf(raw.journal),
    audit: auditOf(raw.audit),
    log: raw.log,
    shutdown: { drainTimeoutMs: raw.shutdown.drainTimeout, delayMs: raw.shutdown.delay },
    limits: limitsOf(raw.limits),
    tokens: {
      redeemWithinMs: tokens.redeemWithin,
      sittingGraceMs: tokens.sittingGrace,
      sittingLogins: tokens.sittingLogins,
    },
    vault: raw.vault && vaultOf(raw.vault),
    notifications: channelsOf(raw.notifications),
    roles,
    access: accessOf(raw.access, accessTargets(raw), claimsNeeded(contexts)),
    targets,
  }
}

function accessTargets({ targets }: RawConfig): ReadonlyMap<string, AccessTarget> {
  return new Map(
    Object.entries(targets).map(([name, target]) => {
      const { broker, vault } = target.credentials
      return [name, { ...target, offers: Object.keys(broker?.creation ?? vault?.roles ?? {}) }]
    }),
  )
}

function listenerOf(raw: RawConfig['listen'][number]): ListenConfig {
  const { address, port, tls, requireTls, allowPlaintextFrom, authentication, advertise } = raw
  return {
    address,
    port,
    tls: tls && { ...tls, clientCa: tls.clientCa },
    allowPlaintextFrom: requireTls ? [] : (allowPlaintextFrom ?? loopback),
    authentication,
    advertise: advertise && { host: advertise.host, port: advertise.port ?? port },
    startupTimeoutMs: raw.startupTimeout,
    proxyProtocolFrom: raw.proxyProtocol?.from ?? [],
    maxConnections: raw.maxConnections,
    maxConnectionsPerAddress: limitOf(raw.maxConnectionsPerAddress),
  }
}

function targetOf(name: string, raw: RawTarget, general: RawConfig): TargetConfig {
  const limits = { ...general.limits, ...raw.limits }
  const {
    database,
    aliases,
    serverNames,
    clientCertificate,
    targetSessionAttrs,
    requireAuth,
    channelBinding,
    applicationName,
    catalog,
    sensitive,
    credentials,
  } = raw
  return {
    name,
    database,
    aliases,
    serverNames,
    clientCertificate,
    servers: serversOf(raw),
    targetSessionAttrs,
    connectTimeoutMs: raw.connectTimeout,
    requireAuth,
    channelBinding,
    limits: timesOf(limits),
    applicationName,
    catalog: { snapshot: catalog.snapshot, refreshEveryMs: catalog.refreshEvery },
    sessionContext: contextOf(general.sessionContext, raw.sessionContext),
    sensitive,
    credentials: credentialsOf(credentials),
  }
}
