// A database of its own for each test file, on the one server that all of them share.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

export interface FreshDatabase {
  readonly name: string
  /** Connection string of the superuser. */
  readonly url: string
  /** Ends what is still connected, and removes it. */
  drop(): Promise<void>
}

/** `name` says whose it is; a suffix keeps two runs on one server apart. */
export async function freshDatabase(adminUrl: string, name: string): Promise<FreshDatabase> {
  const unique = `${name}_${randomBytes(4).toString('hex')}`
  await administer(adminUrl, `create database "${unique}" encoding 'UTF8' template template0`)
  const url = new URL(adminUrl)
  url.pathname = `/${unique}`
  return {
    name: unique,
    url: url.href,
    drop: () => administer(adminUrl, `drop database if exists "${unique}" with (force)`),
  }
}

/** A connection for as long as `work` takes. */
export async function connectedTo<T>(
  url: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Waits until a session on this server runs the text. */
export function runs(text: string): (client: Client) => Promise<void> {
  return async (client) => {
    for (let tries = 0; tries < 400; tries++) {
      const { rowCount } = await client.query(
        "select from pg_stat_activity where state = 'active' and query = $1",
        [text],
      )
      if (rowCount !== 0) return
      await sleep(25)
    }
    throw new Error(`nobody runs ${text}`)
  }
}

async function administer(adminUrl: string, statement: string): Promise<void> {
  await connectedTo(adminUrl, (client) => client.query(statement))
}
