import { Client } from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { SessionStream } from '../../src/credentials/session-stream.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { MemorySocket } from '../support/memory-socket.ts'

beforeEach(() => {
  process.env['PGPASSWORD'] = 'of-another-server'
})
afterEach(() => {
  delete process.env['PGPASSWORD']
})

const nothing = Buffer.alloc(0)

it.each([
  ['asks for a password', encodeBackend({ type: 'authenticationCleartextPassword' })],
  ['sends a row that is cut short', Buffer.from([0x44, 0, 0, 0, 6, 0, 1])],
])('a target that %s in the middle of a session loses it, and gets nothing', async (_, said) => {
  const socket = new MemorySocket({ allowHalfOpen: true })
  const open = { socket, greeting: nothing, rest: nothing }
  const client = new Client({ stream: () => new SessionStream(() => Promise.resolve(open)) })
  client.on('error', () => undefined)
  await client.connect()
  const asked = client.query('select 1')
  socket.feed(said)
  await expect(asked).rejects.toThrow()
  expect(Buffer.concat(socket.written).includes('of-another-server')).toBe(false)
})
