// docs/access.md, done as it says: its configuration on a running pgwarden, its commands and its curl lines by
// those whom they are written for, and the answers that it shows beside those that came.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { operations } from '../../src/composition/server.ts'
import { namedBlocks } from '../support/document.ts'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
/** A role of the operator's, which the document's rules name. */
const roles = ['no_delete: { includes: [read_only], commands: [INSERT, UPDATE] }']
const { username, password } = new URL(adminUrl)
const broker = [
  'broker:',
  `  user: ${JSON.stringify(decodeURIComponent(username))}`,
  `  password: ${JSON.stringify(decodeURIComponent(password) || 'none')}`,
  '  owned: drop',
  '  creation:',
  ...['read_only', 'read_limited_write', 'read_full_write', 'admin', 'no_delete'].map(
    (name) => `    ${name}: ['ALTER ROLE {{name}} SUPERUSER']`,
  ),
]

let blocks: ReadonlyMap<string, string>
let warden: Warden
/** API keys. */
let alice: string
let bob: string

beforeAll(async () => {
  await build()
  blocks = await namedBlocks('docs/access.md')
  const [, ...access] = block('access.yaml').trimEnd().split('\n')
  warden = await Warden.start(adminUrl, {
    ...{ credentials: broker, roles },
    access: access.map((line) => line.slice(2)),
  })
  alice = await keyOf('alice', 'person', ['developers'])
  bob = await keyOf('bob', 'person', ['managers'])
}, 120_000)
afterAll(() => warden.stop())

function block(name: string): string {
  const text = blocks.get(name)
  if (text === undefined) throw new Error(`the document has no block ${name}`)
  return text
}

function url(): string {
  return `http://127.0.0.1:${warden.httpPort}`
}

async function keyOf(
  principal: string,
  kind: 'person' | 'service',
  groups: readonly string[],
): Promise<string> {
  const { text } = await operations.createKey({
    ...{ configFile: warden.configFile, principal, kind, groups },
    ...{ scopes: ['access', 'approve'], claims: {}, forMs: 3_600_000 },
  })
  return text.reveal()
}

/** A name of a block is followed by whose key it is run with, and what stands for something of the reader's own. */
type Given = readonly [key: string, exchanged?: Readonly<Record<string, string>>]

/** Runs a block as somebody, in the operator's directory, and tells what it printed. */
async function run(name: string, ...[key, exchanged = {}]: Given): Promise<string> {
  const program = `pgwarden() { node "${join(process.cwd(), 'dist', 'main.js')}" "$@"; }`
  let text = block(name)
  for (const [example, own] of Object.entries(exchanged)) text = text.replaceAll(example, own)
  const { stdout } = await promisify(execFile)('sh', ['-ec', `${program}\n${text}`], {
    cwd: warden.directory,
    env: {
      ...process.env,
      PGWARDEN_URL: url(),
      PGWARDEN_API_KEY: key,
      XDG_CONFIG_HOME: warden.directory,
    },
  })
  return stdout
}

/** Members and their types, without the values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, shapeOf(of)]))
}

const request = z.looseObject({
  id: z.string(),
  state: z.string(),
  grantId: z.string().optional(),
})
const page = z.object({ items: z.array(request) })

/** What a block of curl answers; it has the members that the document shows. */
async function answerOf(name: string, ...given: Given): Promise<unknown> {
  const answer: unknown = JSON.parse(await run(`${name}.sh`, ...given))
  if (blocks.has(`${name}.json`)) {
    expect(shapeOf(answer)).toEqual(shapeOf(JSON.parse(block(`${name}.json`))))
  }
  return answer
}

async function api(method: 'GET' | 'POST', path: string, key: string): Promise<unknown> {
  const response = await fetch(`${url()}/api/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(method === 'POST' ? { body: '{}' } : {}),
  })
  return response.json()
}

/** The id of the request that waits for bob. */
async function waiting(): Promise<string> {
  let found: string | undefined
  await eventually(async () => {
    const { items } = page.parse(await api('GET', 'requests?decidable=true', bob))
    found = items[0]?.id
    return found !== undefined
  })
  return found ?? ''
}

describe('docs/access.md', () => {
  it('a developer asks, and an approver finds it and says yes', async () => {
    expect(await run('developer.sh', alice)).toContain('repair order 1234')
    const id = await waiting()
    const said = await run('approver.sh', bob, { k3jx7qp2mz5vwa4t: id })
    // The other approver is still missing.
    expect(said).toContain('ciso (group security)')
    await api('POST', `requests/${id}/withdraw`, alice)
  })

  it('an agent asks, waits, gets a token and gives the access back, with the answers that are shown', async () => {
    await run('keys.sh', '')
    const agent = (await readFile(join(warden.directory, 'import.key'), 'utf8')).trim()
    const asked = request.parse(await answerOf('agent-request', agent))
    expect(asked).toEqual({
      ...z.looseObject({}).parse(JSON.parse(block('agent-request.json'))),
      id: asked.id,
      createdAt: asked['createdAt'],
      expiresAt: asked['expiresAt'],
    })
    // With the same key of idempotency: the same request.
    expect(await answerOf('agent-request', agent)).toMatchObject({ id: asked.id })
    await api('POST', `requests/${await waiting()}/approve`, bob)
    const own = { k3jx7qp2mz5vwa4t: asked.id }
    const { state, grantId = '' } = request.parse(await answerOf('agent-wait', agent, own))
    expect(state).toBe('approved')
    const held = { m5zwq2kp7jx3a4vt: grantId }
    await answerOf('agent-token', agent, held)
    expect(await answerOf('agent-revoke', agent, held)).toMatchObject({ complete: true })
  })

  it('what is refused is told as it is shown', async () => {
    const answer: unknown = JSON.parse(await run('agent-token.sh', alice))
    expect(answer).toEqual(JSON.parse(block('problem.json')))
  })

  it('a BI tool gets a token that it may use again and again', async () => {
    const reports = await keyOf('service-reports', 'service', ['bi'])
    const connected = run('bi.sh', reports)
    await api('POST', `requests/${await waiting()}/approve`, bob)
    expect(await connected).toMatch(/jdbc:postgresql:.*user=service-reports&password=pgw_/)
  })
})
