// A configuration file, read: YAML in, typed and checked values out, or every problem with its file,
// line, column and path. Ignorant of what the values are for.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import { Failure } from '../errors.ts'
import { compileRoles } from '../policy/permissions.ts'
import { predefinedRoles, type RoleDefinition } from '../policy/roles.ts'
import type { Secret } from '../secret.ts'
import { invalid, type Problem, place, problemsOf, type Source } from './problems.ts'
import { configSchema, type RawConfig } from './schema.ts'

export interface Config {
  readonly listen: {
    readonly address: string
    readonly port: number
    /** Absolute paths of PEM files. */
    readonly tls: { readonly certificate: string; readonly key: string } | undefined
    /** Networks whose clients may send a token without TLS. */
    readonly allowPlaintextFrom: readonly string[]
    readonly startupTimeoutMs: number
    readonly maxConnections: number
  }
  readonly http: { readonly address: string; readonly port: number }
  readonly store: { readonly url: Secret }
  readonly journal: { readonly directory: string; readonly segmentBytes: number }
  readonly log: { readonly level: RawConfig['log']['level'] }
  readonly limits: { readonly statementBytes: number }
  readonly tokens: {
    readonly redeemWithinMs: number
    readonly sittingGraceMs: number
    readonly sittingLogins: number
  }
  /** The predefined roles, then the operator's in the order of the file. */
  readonly roles: readonly RoleDefinition[]
  /** Maps, not objects: these names come from clients, and `constructor` is not a target. */
  readonly targets: ReadonlyMap<string, TargetConfig>
}

export interface TargetConfig {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly connectTimeoutMs: number
  /** How long a session may do nothing, sit in a transaction, or stay in one; undefined is for ever. */
  readonly limits: {
    readonly idleMs: number | undefined
    readonly idleInTransactionMs: number | undefined
    readonly transactionMs: number | undefined
  }
  readonly catalog: {
    /** Whether functions, views and types of the target are read, to judge statements by them. */
    readonly snapshot: boolean
    /** The longest time between two reads. */
    readonly refreshEveryMs: number
  }
  readonly credentials: {
    readonly broker: {
      readonly user: string
      readonly password: Secret
      /** What becomes of the objects that a database role leaves behind. */
      readonly owned: { readonly reassignTo: string } | 'drop'
      /** By role: the statements that give a new database role its membership. */
      readonly creation: ReadonlyMap<string, readonly string[]>
    }
  }
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
 * `fileName` stands in the messages, and relative paths start at its directory.
 * @throws Failure invalid_configuration
 */
export function parseConfig(
  text: string,
  fileName: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const source = { fileName, document, lines }
  const [broken] = document.errors
  if (broken !== undefined) {
    const message = `${place(source, broken.pos[0])}${broken.message}`
    throw new Failure('invalid_configuration', { message })
  }
  const directory = dirname(resolve(fileName))
  const fromHere = (path: string): string => resolve(directory, path)
  const schema = configSchema(
    { env, readFile: (path) => readFileSync(fromHere(path), 'utf8') },
    fromHere,
  )
  const parsed = schema.safeParse(plain(source))
  if (!parsed.success) throw invalid(source, problemsOf(parsed.error.issues, source))

  const roles = Object.entries(parsed.data.roles).map(([name, role]) => ({ name, ...role }))
  const problems = [...disagreements(parsed.data), ...roleProblems(roles)]
  if (problems.length > 0) throw invalid(source, problems)
  return configOf(parsed.data, [...predefinedRoles, ...roles])
}

/** The document as plain values. Aliases that multiply into the millions are refused by the parser. */
function plain(source: Source): unknown {
  try {
    return source.document.toJS()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw invalid(source, [{ path: [], message }])
  }
}

/** What is right by itself and wrong beside the rest. */
function disagreements({ listen, http, roles, targets }: RawConfig): Problem[] {
  const problems: Problem[] = []
  if (listen.address === http.address && listen.port === http.port) {
    problems.push({ path: ['http', 'port'], message: 'the same address and port as listen' })
  }
  if (Object.keys(targets).length === 0) {
    problems.push({ path: ['targets'], message: 'expected at least one target' })
  }
  const known = new Set([...predefinedRoles.map(({ name }) => name), ...Object.keys(roles)])
  for (const [target, { credentials }] of Object.entries(targets)) {
    const path = ['targets', target, 'credentials', 'broker', 'creation']
    const offered = Object.keys(credentials.broker.creation)
    if (offered.length === 0) problems.push({ path, message: 'expected at least one role' })
    for (const role of offered) {
      if (known.has(role)) continue
      problems.push({ path: [...path, role], message: 'there is no such role', atKey: true })
    }
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

function configOf(raw: RawConfig, roles: readonly RoleDefinition[]): Config {
  const { listen, journal, tokens } = raw
  return {
    listen: {
      address: listen.address,
      port: listen.port,
      tls: listen.tls,
      allowPlaintextFrom: listen.allowPlaintextFrom,
      startupTimeoutMs: listen.startupTimeout,
      maxConnections: listen.maxConnections,
    },
    http: raw.http,
    store: raw.store,
    journal: { directory: journal.directory, segmentBytes: journal.segmentSize },
    log: raw.log,
    limits: { statementBytes: raw.limits.statementBytes },
    tokens: {
      redeemWithinMs: tokens.redeemWithin,
      sittingGraceMs: tokens.sittingGrace,
      sittingLogins: tokens.sittingLogins,
    },
    roles,
    targets: new Map(
      Object.entries(raw.targets).map(([name, target]) => [
        name,
        targetOf(name, target, raw.limits),
      ]),
    ),
  }
}

function targetOf(
  name: string,
  raw: RawConfig['targets'][string],
  general: RawConfig['limits'],
): TargetConfig {
  const limits = { ...general, ...raw.limits }
  const { host, port, database, connectTimeout, catalog, credentials } = raw
  const { user, password, owned, creation } = credentials.broker
  return {
    name,
    host,
    port,
    database,
    connectTimeoutMs: connectTimeout,
    limits: {
      idleMs: milliseconds(limits.idleTimeout),
      idleInTransactionMs: milliseconds(limits.idleInTransactionTimeout),
      transactionMs: milliseconds(limits.transactionTimeout),
    },
    catalog: { snapshot: catalog.snapshot, refreshEveryMs: catalog.refreshEvery },
    credentials: { broker: { user, password, owned, creation: new Map(Object.entries(creation)) } },
  }
}

function milliseconds(limit: number | 'off'): number | undefined {
  return limit === 'off' ? undefined : limit
}
