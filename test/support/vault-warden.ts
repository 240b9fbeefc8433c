// A running pgwarden whose database logins come from Vault, and what there is to be known of a session.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type ClientConfig, DatabaseError } from 'pg'
import type { NoticeMessage } from 'pg-protocol/dist/messages.js'
import type { VaultShop } from './vault-shop.ts'
import { Warden, type WardenOptions } from './warden.ts'

export interface VaultWardenOptions extends WardenOptions {
  /** Where pgwarden reaches Vault; at its own address where there is nothing in between. */
  readonly address?: string
  readonly token?: string
  /** YAML: another way to a token than a file with one. */
  readonly auth?: string
  /** YAML lines below the target's `credentials.vault:` and beside it. */
  readonly logins?: readonly string[]
  readonly beside?: Warden
}

const tokenFile = 'vault-token'

export async function vaultWarden(
  adminUrl: string,
  shop: VaultShop,
  { address = shop.vault.address, token, auth, logins, ...options }: VaultWardenOptions = {},
): Promise<Warden> {
  return Warden.start(adminUrl, {
    ...options,
    vault: [
      `addresses: ['${address}']`,
      `auth: ${auth ?? `{ method: token, token: { file: ${tokenFile} } }`}`,
      ...(options.vault ?? []),
    ],
    credentials: [
      'vault:',
      `  mount: ${shop.mounts.database}`,
      ...(logins ?? ['  roles: { read_only: shop, admin: shop }']),
    ],
    shop: options.shop ?? ['catalog: { snapshot: false }'],
    files: { [tokenFile]: token ?? (await shop.newToken()), ...options.files },
  })
}

/** Whoever keeps the token file has put another one there. */
export async function exchangeToken(warden: Warden, token: string): Promise<void> {
  await writeFile(join(warden.directory, tokenFile), token)
}

export interface Session {
  readonly client: Client
  /** The database role that it runs as. */
  readonly role: string
  readonly processId: number
  /** What the server said without being asked. */
  readonly notices: readonly NoticeMessage[]
  /** With the server's last words, or with nothing when this side has ended it. */
  readonly ended: Promise<Error | undefined>
}

/** Logs in through pgwarden. */
export async function session(login: ClientConfig): Promise<Session> {
  const client = new Client(login)
  const notices: NoticeMessage[] = []
  client.on('notice', (notice) => notices.push(notice))
  const ended = new Promise<Error | undefined>((resolve) => {
    client.on('error', resolve)
    client.on('end', () => resolve(undefined))
  })
  await client.connect()
  const { rows } = await client.query<{ role: string; pid: number }>(
    'select current_user::text as role, pg_backend_pid() as pid',
  )
  const [row] = rows
  if (row === undefined) throw new Error('a session that knows not who it is')
  return { client, role: row.role, processId: row.pid, notices, ended }
}

/** What a client is told whose login fails. */
export async function refusal(login: ClientConfig): Promise<DatabaseError> {
  const client = new Client(login)
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    if (error instanceof DatabaseError) return error
    throw error
  }
  await client.end()
  throw new Error('the login was not refused')
}
