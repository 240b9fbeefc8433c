import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { FrameReader, type FrameTable, headerBytes } from '../../src/wire/frames.ts'
import { decodeFrontend, encodeFrontend, sessionFrames } from '../../src/wire/frontend.ts'
import { anyFrontendMessage } from '../support/messages.ts'

interface Seen {
  readonly type: number
  readonly size: number
  bytes: Buffer
}

/** Everything a reader announces, put together again; `chunks` as they would arrive. */
function read(table: FrameTable, chunks: readonly Buffer[]): Seen[] {
  const seen: Seen[] = []
  const reader = new FrameReader(table, {
    begin: (type, size, bytes, start, end) => {
      seen.push({ type, size, bytes: Buffer.from(bytes.subarray(start, end)) })
      return true
    },
    rest: (bytes, start, end, last) => {
      const frame = seen[seen.length - 1]
      if (frame === undefined) throw new Error('rest before begin')
      frame.bytes = Buffer.concat([frame.bytes, bytes.subarray(start, end)])
      expect(last).toBe(frame.bytes.length === frame.size)
    },
  })
  for (const chunk of chunks) reader.push(chunk)
  return seen
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  const chunks: Buffer[] = []
  let from = 0
  for (const place of [...places, bytes.length]) {
    chunks.push(bytes.subarray(from, place))
    from = place
  }
  return chunks
}

describe('the frame reader', () => {
  it('finds the same frames wherever the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrontendMessage, { maxLength: 12 }),
        fc.array(fc.nat(5000), { maxLength: 40 }),
        (messages, places) => {
          const frames = messages.map(encodeFrontend)
          const seen = read(sessionFrames(1 << 20), cut(Buffer.concat(frames), places))
          expect(seen.map(({ bytes }) => bytes.toString('hex'))).toEqual(
            frames.map((frame) => frame.toString('hex')),
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  it('finds the same frames when every byte arrives alone, or seven at a time', () => {
    const stream = Buffer.concat([
      encodeFrontend({ type: 'query', text: Buffer.from('SELECT 1') }),
      encodeFrontend({ type: 'copyData', data: Buffer.alloc(500, 7) }),
      encodeFrontend({ type: 'sync' }),
      encodeFrontend({ type: 'query', text: Buffer.from('SELECT 2') }),
    ])
    for (const step of [1, 2, 3, 7]) {
      const places = Array.from({ length: stream.length }, (_, at) => at * step)
      const seen = read(sessionFrames(1 << 20), cut(stream, places))
      expect(seen.map(({ type }) => String.fromCharCode(type)).join('')).toBe('QdSQ')
      expect(Buffer.concat(seen.map(({ bytes }) => bytes)).equals(stream)).toBe(true)
    }
  })

  it('answers random bytes with frames or a protocol violation, nothing else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
        try {
          for (const frame of read(
            sessionFrames(4096),
            chunks.map((chunk) => Buffer.from(chunk)),
          )) {
            if (frame.bytes.length === frame.size) {
              decodeFrontend(frame.bytes, 0, frame.bytes.length)
            }
          }
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
          expect(error).toMatchObject({ sqlstate: '08P01' })
        }
      }),
      { numRuns: 3000 },
    )
  })

  it.each([
    ['a length that cannot hold itself', 'S', 3],
    ['a negative length', 'Q', -5],
    ['a length above a gigabyte', 'Q', 0x7fffffff],
    ['a Sync of 10 MB', 'S', 10_000_000],
    ['an unknown type', 'z', 4],
    ['a password message in a session', 'p', 10],
  ])('refuses %s before anything is held', (_, type, length) => {
    const header = Buffer.alloc(headerBytes)
    header.write(type)
    header.writeInt32BE(length, 1)
    expect(() => read(sessionFrames(1 << 20), [header])).toThrow(
      expect.objectContaining({ sqlstate: '08P01' }),
    )
  })

  it('announces a statement over the limit by its header alone and streams the rest', () => {
    const frame = encodeFrontend({ type: 'query', text: Buffer.alloc(100_000, 0x20) })
    const begun: number[] = []
    let streamed = 0
    const reader = new FrameReader(sessionFrames(1000), {
      begin: (_type, _size, _bytes, start, end) => {
        begun.push(end - start)
        return true
      },
      rest: (_bytes, start, end) => {
        streamed += end - start
      },
    })
    for (let at = 0; at < frame.length; at += 1000) reader.push(frame.subarray(at, at + 1000))
    expect(begun).toHaveLength(1)
    expect((begun[0] ?? 0) + streamed).toBe(frame.length)
    expect(reader.atBoundary).toBe(true)
  })

  it('waits where a handler says "not now", and offers the same frame again', () => {
    const stream = Buffer.concat([
      encodeFrontend({ type: 'sync' }),
      encodeFrontend({ type: 'query', text: Buffer.from('SELECT 1') }),
      encodeFrontend({ type: 'flush' }),
    ])
    for (const step of [1, 2, 5, 7, 100]) {
      let taken = ''
      let refusals = 3
      const reader = new FrameReader(sessionFrames(1000), {
        begin: (type) => {
          if (type === 0x51 && refusals-- > 0) return false
          taken += String.fromCharCode(type)
          return true
        },
        rest: () => undefined,
      })
      let waiting = Buffer.alloc(0)
      for (let at = 0; at < stream.length; at += step) {
        waiting = Buffer.concat([waiting, stream.subarray(at, at + step)])
        reader.resume()
        waiting = waiting.subarray(reader.push(waiting))
      }
      while (reader.paused) {
        reader.resume()
        waiting = waiting.subarray(reader.push(waiting))
      }
      expect(taken).toBe('SQH')
    }
  })
})
