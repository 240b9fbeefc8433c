// Who a session is, as a DBA sees it in PostgreSQL itself: in pg_stat_activity, past pgwarden.

import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Warden } from '../support/warden.ts'

let warden: Warden
beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    targets: ['plain:', '  <<: *shop', "  applicationName: ''"],
  })
})
afterAll(() => warden.stop())

async function opened(
  more: { readonly user: string; readonly target?: string },
  application?: string,
): Promise<Client> {
  const login = await warden.login('read_only', more)
  const client = new Client({
    ...login,
    database: more.target ?? 'shop',
    ...(application === undefined ? {} : { application_name: application }),
  })
  await client.connect()
  return client
}

/** What PostgreSQL shows of the session. */
async function shown(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return warden.asSuperuser(async (superuser) => {
    const found = await superuser.query<{ name: string }>(
      'select application_name as name from pg_stat_activity where pid = $1',
      [rows[0]?.pid],
    )
    return found.rows[0]?.name
  })
}

describe('a session in pg_stat_activity', () => {
  it('shows principal, grant and application, and the audit the client’s own name', async () => {
    const client = await opened({ user: 'zoë' }, 'conformance ünï')
    const name = await shown(client)
    await client.end()
    const starts = await warden.journal('session.start')
    const start = starts.find(({ principal }) => principal === 'zoë')
    expect(name).toBe(`pgwarden zo? ${String(start?.['grant'])} conformance ?n?`)
    expect(start?.['application']).toBe('conformance ünï')
  })

  it('shows the whole grant of somebody with a long name', async () => {
    const user = `${'somebody.'.repeat(8)}@example.org`
    const client = await opened({ user }, 'psql')
    const name = await shown(client)
    await client.end()
    const starts = await warden.journal('session.start')
    const start = starts.find(({ principal }) => principal === user)
    expect(name).toBe(`pgwarden ${user.slice(0, 35)}~ ${String(start?.['grant'])}`)
  })

  it('is renamed by drivers that do so, and has its name again after RESET and DISCARD ALL', async () => {
    const client = await opened({ user: 'robin' })
    const before = await shown(client)
    expect(before).toMatch(/^pgwarden robin [a-z2-7]{16}$/)
    await client.query("SET application_name = 'DBeaver 24.1.0 - Main'")
    expect(await shown(client)).toBe('DBeaver 24.1.0 - Main')
    await client.query('RESET application_name')
    expect(await shown(client)).toBe(before)
    await client.query("SET application_name = 'PostgreSQL JDBC Driver'")
    await client.query('DISCARD ALL')
    expect(await shown(client)).toBe(before)
    await client.end()
  })

  it('has the client’s own name on a target where the operator left it empty', async () => {
    const client = await opened({ user: 'sam', target: 'plain' }, 'psql')
    expect(await shown(client)).toBe('psql')
    await client.end()
  })
})
