import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Timestamps } from '../../src/audit/timestamp.ts'

const start = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

describe('the time of a record', () => {
  it('tells apart what happens within one millisecond', () => {
    const clock = { wall: start, ms: 10, now: () => clock.wall, elapsed: () => clock.ms }
    const timestamps = new Timestamps(clock)
    clock.ms += 0.25
    expect(timestamps.now()).toBe('2026-01-02T03:04:05.678250Z')
    clock.ms += 1
    clock.wall += 1
    expect(timestamps.now()).toBe('2026-01-02T03:04:05.679250Z')
  })

  it('is the millisecond that the clock says, whatever that does, and follows where it jumps', () => {
    const step = fc.record({
      wall: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -1e9, max: 1e9 })),
      ms: fc.double({ min: 0, max: 5, noNaN: true }),
    })
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const clock = { wall: start, ms: 1e6, now: () => clock.wall, elapsed: () => clock.ms }
        const timestamps = new Timestamps(clock)
        for (const { wall, ms } of steps) {
          clock.wall += wall
          clock.ms += ms
          const said = timestamps.now()
          expect(said).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{6}Z$/)
          expect(said.slice(0, 23)).toBe(new Date(clock.wall).toISOString().slice(0, 23))
        }
      }),
    )
  })

  it('does not go back while the clocks agree', () => {
    const clock = { wall: start, ms: 0, now: () => Math.floor(clock.wall), elapsed: () => clock.ms }
    const timestamps = new Timestamps(clock)
    let last = ''
    for (let count = 0; count < 2_000; count += 1) {
      // The wall clock is being slewed: slower than the other one.
      clock.ms += 0.0301
      clock.wall += 0.03
      const said = timestamps.now()
      expect(said >= last).toBe(true)
      last = said
    }
  })
})
