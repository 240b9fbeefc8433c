// The shape of a configuration file: every key, its default and what may stand there. What has to
// agree with something elsewhere in the file is checked in config.ts.

import { z } from 'zod'
import { relationPatternProblem } from '../policy/relations.ts'
import { Secret } from '../secret.ts'
import { accessSchema, targetAccess } from './access.ts'
import { nameTemplate } from './application-name.ts'
import { auditSchema } from './audit.ts'
import { credentialsSchema } from './credentials.ts'
import { httpSchema } from './http.ts'
import { identitySchema } from './identity.ts'
import { journalSchema } from './journal.ts'
import { countLimit, limitsSchema, roleTimesSchema, targetTimesSchema } from './limits.ts'
import { loginsSchema } from './logins.ts'
import { notificationsSchema } from './notifications.ts'
import { sessionContextSchema } from './session-context.ts'
import { shutdownSchema } from './shutdown.ts'
import {
  duration,
  fileText,
  host,
  hostAndPort,
  hostName,
  keys,
  list,
  mapping,
  name,
  network,
  oneOrMore,
  port,
  type Surroundings,
  secret,
  text,
  whole,
} from './values.ts'
import { vaultSchema } from './vault.ts'

const texts = z.array(text, list)

/** Load balancers. Whoever may send a header names any address it likes, so everybody may not. */
const balancers = z
  .array(
    network.refine((range) => !range.endsWith('/0'), {
      error: 'anybody could name any address: list the load balancers',
    }),
    list,
  )
  .min(1, 'expected at least one network')

const relationPatterns = z.array(
  text.superRefine((pattern, context) => {
    const problem = relationPatternProblem(pattern)
    if (problem !== undefined) context.addIssue(problem)
  }),
  list,
)

const role = keys({
  includes: texts.exactOptional(),
  commands: texts.exactOptional(),
  functions: keys({
    classes: z
      .array(
        z.enum(
          ['harmless', 'writing', 'maintaining', 'administrative'],
          'expected harmless, writing, maintaining or administrative',
        ),
        list,
      )
      .exactOptional(),
    userDefined: z.boolean('expected true or false').exactOptional(),
    allow: texts.exactOptional(),
    deny: texts.exactOptional(),
  }).exactOptional(),
  settings: texts.exactOptional(),
  relations: keys({
    deny: texts.exactOptional(),
    read: texts.exactOptional(),
    write: texts.exactOptional(),
  }).exactOptional(),
  limits: z.record(text, text, mapping).exactOptional(),
  catalogs: z
    .array(
      z.enum(['secrets', 'statistics', 'write'], 'expected secrets, statistics or write'),
      list,
    )
    .exactOptional(),
  sessions: roleTimesSchema.exactOptional(),
  sensitive: z.boolean('expected true or false').exactOptional(),
  readOnly: z.boolean('expected true or false').exactOptional(),
})

export function configSchema(surroundings: Surroundings, resolvePath: (path: string) => string) {
  const path = text.transform(resolvePath)
  const secretText = secret(surroundings)
  const pem = fileText(surroundings)

  const listener = keys({
    address: text.default('127.0.0.1'),
    port: port.default(6432),
    tls: keys({ certificate: path, key: path, clientCa: path.optional() }).optional(),
    requireTls: z.boolean('expected true or false').default(false),
    authentication: z
      .enum(['scram-sha-256', 'password'], 'expected scram-sha-256 or password')
      .default('scram-sha-256'),
    allowPlaintextFrom: z.array(network, list).optional(),
    advertise: hostAndPort.optional(),
    startupTimeout: duration('1s', '1m').prefault('10s'),
    proxyProtocol: keys({ from: balancers }).optional(),
    maxConnections: whole(1, 100_000).default(1000),
    maxConnectionsPerAddress: countLimit(100_000),
  }).superRefine(({ tls, requireTls, allowPlaintextFrom = [] }, context) => {
    if (!requireTls) return
    const problem = (key: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [key], message })
    }
    if (tls === undefined) problem('requireTls', 'needs a certificate: write tls as well')
    if (allowPlaintextFrom.length > 0) {
      problem('allowPlaintextFrom', 'contradicts requireTls: leave one of them out')
    }
  })

  const target = keys({
    host: host.optional(),
    hosts: z.array(hostAndPort, list).min(1, 'expected at least one host').optional(),
    port: port.default(5432),
    database: text,
    aliases: z.array(name, list).default([]),
    serverNames: z.array(hostName, list).default([]),
    targetSessionAttrs: z
      .enum(
        ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'],
        'expected any, read-write, read-only, primary, standby or prefer-standby',
      )
      .default('any'),
    clientCertificate: z.enum(['none', 'required'], 'expected none or required').default('none'),
    connectTimeout: duration('1s', '1m').prefault('8s'),
    tls: keys({
      mode: z
        .enum(
          ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
          'expected disable, allow, prefer, require, verify-ca or verify-full',
        )
        .default('verify-full'),
      ca: pem.optional(),
      serverName: text.optional(),
      certificate: pem.optional(),
      key: pem.transform((key) => new Secret(key)).optional(),
    }).optional(),
    requireAuth: z
      .array(
        z.enum(
          ['scram-sha-256', 'md5', 'password', 'none'],
          'expected scram-sha-256, md5, password or none',
        ),
        list,
      )
      .min(1, 'expected at least one method')
      .default(['scram-sha-256', 'md5', 'none']),
    channelBinding: z
      .enum(['disable', 'prefer', 'require'], 'expected disable, prefer or require')
      .default('prefer'),
    limits: targetTimesSchema.prefault({}),
    applicationName: nameTemplate.prefault('pgwarden {{principal}} {{grant}} {{application}}'),
    catalog: keys({
      snapshot: z.boolean('expected true or false').default(true),
      refreshEvery: duration('10s', '1d').prefault('5m'),
    }).prefault({}),
    sessionContext: sessionContextSchema.prefault({}),
    sensitive: relationPatterns.default([]),
    ...targetAccess,
    credentials: credentialsSchema(secretText),
  }).refine(({ host, hosts }) => (host === undefined) !== (hosts === undefined), {
    path: ['host'],
    error: 'expected a host, or hosts with a list of them',
    // Also beside other mistakes: all are told at once.
    when: () => true,
  })

  return keys({
    workers: z
      .union([whole(1, 64), z.literal('auto')], 'expected a number from 1 to 64, or auto')
      .default(1),
    listen: oneOrMore(listener).prefault({}),
    http: httpSchema(path, secretText).prefault({}),
    identity: identitySchema(surroundings).prefault({}),
    logins: loginsSchema.prefault({}),
    store: keys({ url: secretText }),
    journal: journalSchema(surroundings, resolvePath),
    audit: auditSchema(surroundings, resolvePath).prefault({}),
    log: keys({
      level: z
        .enum(['debug', 'info', 'warn', 'error'], 'expected debug, info, warn or error')
        .default('info'),
      format: z.enum(['auto', 'json', 'pretty'], 'expected auto, json or pretty').default('auto'),
    }).prefault({}),
    shutdown: shutdownSchema.prefault({}),
    limits: limitsSchema.prefault({}),
    tokens: keys({
      redeemWithin: duration('10s', '24h').prefault('10m'),
      sittingGrace: duration('1s', '1h').prefault('60s'),
      sittingLogins: whole(1, 10_000).default(32),
    }).prefault({}),
    vault: vaultSchema(surroundings, resolvePath).optional(),
    sessionContext: sessionContextSchema.prefault({}),
    access: accessSchema.optional(),
    notifications: notificationsSchema(surroundings),
    roles: z.record(name, role, mapping).prefault({}),
    targets: z.record(name, target, mapping),
  })
}

export type RawConfig = z.output<ReturnType<typeof configSchema>>
