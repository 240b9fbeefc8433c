// A sink of the section `audit`: one of several kinds, each with what it needs. Here is decided that nothing leaves
// this machine in the clear. Ignorant of how records are sent.

import { z } from 'zod'
import type { NatsSettings, SinkSettings, TlsSettings } from '../audit/sink-settings.ts'
import { isLoopback } from '../loopback.ts'
import { Secret } from '../secret.ts'
import { isCertificate, isSafeUrl, isSigningSecret, signingSecret } from './notifications.ts'
import {
  fileText,
  hostAndPort,
  keys,
  name,
  oneOrMore,
  type Surroundings,
  secret,
  text,
} from './values.ts'

export function sinkSchema(surroundings: Surroundings, resolvePath: (path: string) => string) {
  const secretText = secret(surroundings)
  const pem = fileText(surroundings)
  const certificates = pem.refine(isCertificate, {
    error: 'expected a file with a certificate in PEM',
  })
  const remote = remoteSchema(certificates, pem)
  const sinks = {
    stdout: keys({}),
    file: keys({ path: text.transform(resolvePath) }),
    syslog: keys({ host: hostAndPort, ...remote }).superRefine((sink, context) => {
      if (sink.tls === 'off') onlyHere([sink.host.host], context)
    }),
    webhook: keys({
      url: secretText.refine(isSafeUrl, {
        error: 'expected a URL that begins with https://; http:// does for this machine only',
      }),
      secret: oneOrMore(secretText.refine(isSigningSecret, { error: signingSecret })),
      ca: certificates.optional(),
    }),
    nats: natsSchema(secretText, remote),
    kafka: kafkaSchema(secretText, remote),
    postgresql: keys({
      url: secretText.refine(isSealed, {
        error: 'expected a URL with ?sslmode=verify-full; without for this machine only',
      }),
      table: z
        .string()
        .regex(
          /^[a-z_][a-z0-9_]{0,47}(\.[a-z_][a-z0-9_]{0,47})?$/,
          'expected a table like audit.events, in lower case',
        )
        .default('pgwarden_audit.events'),
    }),
  }
  const optional = {
    name: name.optional(),
    stdout: sinks.stdout.optional(),
    file: sinks.file.optional(),
    syslog: sinks.syslog.optional(),
    webhook: sinks.webhook.optional(),
    nats: sinks.nats.optional(),
    kafka: sinks.kafka.optional(),
    postgresql: sinks.postgresql.optional(),
  }
  const expected =
    'expected one sink: stdout, file, syslog, webhook, nats, kafka or postgresql, with a name where there are several'
  return keys(optional).refine(
    ({ name: _, ...kinds }) =>
      Object.values(kinds).filter((kind) => kind !== undefined).length === 1,
    { error: expected },
  )
}

type PemSchema = ReturnType<typeof fileText>
type SecretSchema = ReturnType<typeof secret>

function remoteSchema(certificates: PemSchema, pem: PemSchema) {
  const tls = keys({
    ca: certificates.optional(),
    client: keys({ certificate: certificates, key: pem }).optional(),
  })
  return { tls: z.union([z.literal('off'), tls], 'expected a mapping, or off').prefault({}) }
}

function natsSchema(secretText: SecretSchema, remote: ReturnType<typeof remoteSchema>) {
  return keys({
    servers: oneOrMore(hostAndPort),
    stream: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected a name of letters, digits, and _ -')
      .default('pgwarden'),
    subject: z
      .string()
      .regex(
        /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
        'expected a subject like pgwarden.audit: names of letters, digits, and _ -, without wildcards',
      )
      .default('pgwarden.audit'),
    credentials: secretText.optional(),
    token: secretText.optional(),
    user: text.optional(),
    password: secretText.optional(),
    ...remote,
  }).superRefine((sink, context) => {
    if (sink.tls === 'off') {
      onlyHere(
        sink.servers.map(({ host }) => host),
        context,
      )
    }
    const { credentials, token, user, password } = sink
    const ways = [credentials, token, user ?? password].filter((way) => way !== undefined)
    if (ways.length > 1 || (user === undefined) !== (password === undefined)) {
      context.addIssue('expected one of: credentials; token; user and password')
    }
  })
}

function kafkaSchema(secretText: SecretSchema, remote: ReturnType<typeof remoteSchema>) {
  return keys({
    brokers: oneOrMore(hostAndPort),
    topic: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,249}$/, 'expected a name of letters, digits, and . _ -')
      .default('pgwarden-audit'),
    sasl: keys({
      mechanism: z.enum(
        ['plain', 'scram-sha-256', 'scram-sha-512'],
        'expected plain, scram-sha-256 or scram-sha-512',
      ),
      user: text,
      password: secretText,
    }).optional(),
    ...remote,
  }).superRefine((sink, context) => {
    if (sink.tls === 'off') {
      onlyHere(
        sink.brokers.map(({ host }) => host),
        context,
      )
    }
  })
}

type RawSink = z.output<ReturnType<typeof sinkSchema>>
type RawTls = 'off' | { readonly ca?: string | undefined; readonly client?: RawClient | undefined }
interface RawClient {
  readonly certificate: string
  readonly key: string
}

export function sinkOf(raw: RawSink): SinkSettings {
  const { stdout, file, syslog, webhook, nats, kafka, postgresql } = raw
  const named = <Type extends SinkSettings['type']>(type: Type) => ({
    type,
    name: raw.name ?? type,
  })
  if (stdout !== undefined) return named('stdout')
  if (file !== undefined) return { ...named('file'), path: file.path }
  if (syslog !== undefined) {
    const { host, port } = syslog.host
    return { ...named('syslog'), host, port: port ?? 6514, tls: tlsOf(syslog.tls) }
  }
  if (webhook !== undefined) {
    return { ...named('webhook'), url: webhook.url, secrets: webhook.secret, ca: webhook.ca }
  }
  if (nats !== undefined) {
    const { servers, stream, subject, tls } = nats
    const at = servers.map((server) => addressOf(server, 4222))
    return { ...named('nats'), servers: at, stream, subject, login: loginOf(nats), tls: tlsOf(tls) }
  }
  if (kafka !== undefined) {
    const { brokers, topic, sasl, tls } = kafka
    const at = brokers.map((broker) => addressOf(broker, 9092))
    return { ...named('kafka'), brokers: at, topic, login: sasl, tls: tlsOf(tls) }
  }
  if (postgresql !== undefined) return { ...named('postgresql'), ...postgresql }
  throw new Error('a sink without a kind')
}

function loginOf({
  credentials,
  token,
  user,
  password,
}: NonNullable<RawSink['nats']>): NatsSettings['login'] {
  if (credentials !== undefined) return { type: 'credentials', content: credentials }
  if (token !== undefined) return { type: 'token', token }
  if (user === undefined || password === undefined) return undefined
  return { type: 'password', user, password }
}

function tlsOf(raw: RawTls): TlsSettings | undefined {
  if (raw === 'off') return undefined
  const { ca, client } = raw
  return { ca, client: client && { certificate: client.certificate, key: new Secret(client.key) } }
}

function addressOf({ host, port }: z.output<typeof hostAndPort>, usual: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port ?? usual}`
}

/** As the driver reads it: `host` as a parameter overrides, and a path is a socket of this machine. */
function isSealed(url: Secret): boolean {
  const text = url.reveal()
  if (!URL.canParse(text)) return false
  const { hostname, searchParams } = new URL(text)
  const host = searchParams.getAll('host').at(-1) ?? hostname
  return (
    host.startsWith('/') ||
    isLoopback(host) ||
    searchParams.getAll('sslmode').at(-1) === 'verify-full'
  )
}

function onlyHere(hosts: readonly string[], context: z.RefinementCtx): void {
  if (hosts.every(isLoopback)) return
  context.addIssue({
    code: 'custom',
    path: ['tls'],
    message: 'only on this machine may records travel without TLS',
  })
}
