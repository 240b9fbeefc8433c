import { describe, expect, it } from 'vitest'
import { eventStream, type StreamedEvent } from '../../src/api/event-stream.ts'

async function* counting(read: number[] = []): AsyncGenerator<StreamedEvent> {
  try {
    for (let number = 1; ; number += 1) {
      read.push(number)
      yield { id: `main:${number}`, event: { number } }
    }
  } finally {
    read.push(-1)
  }
}

const silent = async function* (): AsyncGenerator<StreamedEvent> {
  await new Promise(() => {})
  yield { id: '', event: {} }
}

function open(events: AsyncIterator<StreamedEvent>, other: { slowReaderMs?: number } = {}) {
  const over = new AbortController()
  const ends: unknown[] = []
  const stream = eventStream(events, {
    heartbeatMs: 20,
    slowReaderMs: 1_000,
    signal: over.signal,
    onEnd: (error) => ends.push(error),
    ...other,
  })
  const reader = stream.getReader()
  const text = async (): Promise<string | undefined> => {
    const { value } = await reader.read()
    return value && new TextDecoder().decode(value)
  }
  return { over, ends, reader, text }
}

describe('a stream of events', () => {
  it('has an id and one record for each event', async () => {
    const { text } = open(counting())
    expect(await text()).toBe('id: main:1\ndata: {"number":1}\n\n')
    expect(await text()).toBe('id: main:2\ndata: {"number":2}\n\n')
  })

  it('reads nothing ahead of its reader', async () => {
    const read: number[] = []
    const { text } = open(counting(read))
    await text()
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(read).toEqual([1])
  })

  it('breaks a silence, so that nobody takes it for death', async () => {
    const { text } = open(silent())
    expect(await text()).toBe(': still here\n\n')
    expect(await text()).toBe(': still here\n\n')
  })

  it('drops a reader who stays behind, tells it so, and lets go of what it held', async () => {
    const read: number[] = []
    const { text, ends } = open(counting(read), { slowReaderMs: 20 })
    await text()
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(await text()).toBe('event: dropped\ndata: {"reason":"you read too slowly"}\n\n')
    expect(await text()).toBeUndefined()
    expect([ends, read]).toEqual([[undefined], [1, -1]])
  })

  it('says why it ends when it is ended', async () => {
    const { text, over, ends } = open(silent())
    const waiting = text()
    over.abort('your credential has expired')
    expect(await waiting).toBe('event: end\ndata: {"reason":"your credential has expired"}\n\n')
    expect(ends).toEqual([undefined])
  })

  it('lets go when its reader leaves', async () => {
    const read: number[] = []
    const { text, reader, ends } = open(counting(read))
    await text()
    await reader.cancel()
    expect([ends, read]).toEqual([[undefined], [1, -1]])
  })

  it('tells its reader nothing of an error but that there was one', async () => {
    const secret = new Error('/var/lib/secret-path')
    const failing: AsyncIterator<StreamedEvent> = { next: () => Promise.reject(secret) }
    const { text, ends } = open(failing)
    expect(await text()).toBe('event: end\ndata: {"reason":"the audit cannot be read now"}\n\n')
    expect(ends).toEqual([secret])
  })
})
