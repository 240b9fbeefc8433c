// What each kind of sink has to be told: config/ reads it, sinks/ goes by it. Ignorant of where it is written
// down, and of how it is done.

import type { Secret } from '../secret.ts'

/** PEM. */
export interface TlsSettings {
  /** The authorities that Node trusts when absent. */
  readonly ca: string | undefined
  readonly client: { readonly certificate: string; readonly key: Secret } | undefined
}

interface Place {
  /** In the log, in metrics, and what its position is kept under. */
  readonly name: string
}

interface StdoutSettings extends Place {
  readonly type: 'stdout'
}

export interface FileSettings extends Place {
  readonly type: 'file'
  readonly path: string
}

export interface SyslogSettings extends Place {
  readonly type: 'syslog'
  readonly host: string
  readonly port: number
  /** Undefined on this machine only. */
  readonly tls: TlsSettings | undefined
}

export interface WebhookSettings extends Place {
  readonly type: 'webhook'
  readonly url: Secret
  readonly secrets: readonly Secret[]
  readonly ca: string | undefined
}

export interface NatsSettings extends Place {
  readonly type: 'nats'
  readonly servers: readonly string[]
  readonly stream: string
  /** Records go to `<subject>.<chain>.<type>`. */
  readonly subject: string
  /** The content of a .creds file, a token, or a name and a password. */
  readonly login:
    | { readonly type: 'credentials'; readonly content: Secret }
    | { readonly type: 'token'; readonly token: Secret }
    | { readonly type: 'password'; readonly user: string; readonly password: Secret }
    | undefined
  readonly tls: TlsSettings | undefined
}

export interface KafkaSettings extends Place {
  readonly type: 'kafka'
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly topic: string
  readonly login:
    | {
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
        readonly user: string
        readonly password: Secret
      }
    | undefined
  readonly tls: TlsSettings | undefined
}

export interface PostgresqlSettings extends Place {
  readonly type: 'postgresql'
  readonly url: Secret
  /** `schema.table`; made when it is not there. */
  readonly table: string
}

export type SinkSettings =
  | StdoutSettings
  | FileSettings
  | SyslogSettings
  | WebhookSettings
  | NatsSettings
  | KafkaSettings
  | PostgresqlSettings
