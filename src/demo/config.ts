// The configuration that the demo runs on: an ordinary pgwarden.yaml, made anew at each start because
// PostgreSQL's port is. Ignorant of who reads it. Secrets stay in files of their own, mode 0600.
// The rights of each role are granted in PostgreSQL too: the policy is the first lock, not the only.

import { shopOwner } from './shop.ts'

export interface DemoConfig {
  readonly port: number
  readonly httpPort: number
  readonly postgresPort: number
  readonly postgresUser: string
  readonly passwordFile: string
  /** Holds the store's connection string. */
  readonly storeUrlFile: string
  readonly journalDirectory: string
}

/** JSON is YAML: however odd a path is, quoted like this it is one string. */
const quote = (text: string) => JSON.stringify(text)

export function demoConfig(config: DemoConfig): string {
  return `# Made by "pgwarden demo" at each start; changes are lost. To keep a configuration, copy it.

listen:
  address: 127.0.0.1
  port: ${config.port}

http:
  address: 127.0.0.1
  port: ${config.httpPort}

store:
  url: { file: ${quote(config.storeUrlFile)} }

journal:
  directory: ${quote(config.journalDirectory)}

log:
  # The terminal is for the lines to paste.
  level: warn

tokens:
  # Long enough for a day of trying things; the default is ten minutes.
  redeemWithin: 8h

access:
  # Groups of the people below; elsewhere the identity provider says who is in which.
  approvers: { manager: [managers], ciso: [security], dba: [dbas] }
  administrators: [pgwarden-admins]
  auditors: [auditors]

targets:
  shop:
    host: 127.0.0.1
    port: ${config.postgresPort}
    database: shop
    credentials:
      broker:
        user: ${quote(config.postgresUser)}
        password: { file: ${quote(config.passwordFile)} }
        # What a grant's database role made (tables, views) outlives it.
        owned: { reassignTo: ${shopOwner} }
        creation:
          read_only:
            - GRANT pg_read_all_data TO {{name}}
          read_limited_write:
            - GRANT pg_read_all_data, pg_write_all_data TO {{name}}
          read_full_write:
            - GRANT ${shopOwner} TO {{name}}
          admin:
            - GRANT ${shopOwner} TO {{name}} WITH ADMIN OPTION
            - ALTER ROLE {{name}} CREATEROLE
`
}
