import { describe, expect, it } from 'vitest'
import { binaryText } from '../../src/wire/binary-value.ts'
import { decodeBindValues } from '../../src/wire/bind-values.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')

describe('a binary value', () => {
  it.each([
    ['bool', 16, '01', 'true'],
    ['bytea', 17, '00ff', '\\x00ff'],
    ['int8', 20, '8000000000000000', '-9223372036854775808'],
    ['int2', 21, 'fffe', '-2'],
    ['int4', 23, '0000002a', '42'],
    ['text', 25, 'c3a9', 'é'],
    ['oid', 26, 'ffffffff', '4294967295'],
    ['float4', 700, '3fc00000', '1.5'],
    ['float8', 701, '7ff8000000000000', 'NaN'],
    ['date', 1082, '000025c7', '2026-06-24'],
    ['date', 1082, '7fffffff', 'infinity'],
    ['time', 1083, '00000007eb50ce80', '09:26:52.712576'],
    ['timestamp', 1114, 'fffffffffff0bdc1', '1999-12-31T23:59:59.000001'],
    ['timestamptz', 1184, '0000000000000000', '2000-01-01T00:00:00Z'],
    ['timestamptz', 1184, '8000000000000000', '-infinity'],
    ['interval', 1186, '000000000035a4e9 00000002 00000001', 'P1M2DT3.515625S'],
    ['numeric', 1700, '0003 0001 0000 0003 0001 0929 1f40', '12345.800'],
    ['numeric', 1700, '0001 ffff 4000 0004 0001', '-0.0001'],
    ['numeric', 1700, '0001 fffe 0000 0006 0064', '0.000001'],
    ['numeric', 1700, '0001 0001 0000 0000 0001', '10000'],
    ['numeric', 1700, '0000 0000 0000 0002', '0.00'],
    ['numeric', 1700, '0000 0000 c000 0000', 'NaN'],
    ['uuid', 2950, '00112233445566778899aabbccddeeff', '00112233-4455-6677-8899-aabbccddeeff'],
    ['jsonb', 3802, '017b7d', '{}'],
  ])('of the type %s is read as people write it', (_, type, hex, text) => {
    expect(binaryText(type, bytes(hex))).toBe(text)
  })

  it.each([
    ['of another length', 23, '2a'],
    ['of a type that is not known', 600, '00'],
    ['of a later jsonb', 3802, '027b7d'],
    ['of a year that has no four digits', 1082, '7ffffffe'],
    ['that is half a number', 1700, '0003 0001 0000'],
    ['that would be pages of zeros', 1700, '0001 7fff 0000 0000 0001'],
  ])('%s is not guessed at', (_, type, hex) => {
    expect(binaryText(type, bytes(hex))).toBeUndefined()
  })
})

describe('the values of a Bind', () => {
  const frame = (
    parameters: readonly (Buffer | null)[],
    parameterFormats: readonly number[] = [],
  ): Buffer =>
    encodeFrontend({
      ...{ type: 'bind', portal: 'p', statement: 's', resultFormats: [] },
      ...{ parameters, parameterFormats },
    })
  const read = (bind: Buffer, most = 10, end = bind.length) => decodeBindValues(bind, 0, end, most)
  const value = Buffer.from('value')

  it.each([
    [[], [0, 0]],
    [[1], [1, 1]],
    [
      [0, 1],
      [0, 1],
    ],
  ])('have the formats %j', (formats, expected) => {
    const found = read(frame([value, value], formats))?.values
    expect(found?.map(({ format }) => format)).toEqual(expected)
  })

  it('are counted, whether they are looked at or not', () => {
    expect(read(frame([value, null, value]), 2)).toEqual({
      count: 3,
      values: [
        { format: 0, bytes: value, size: 5 },
        { format: 0, bytes: null, size: 0 },
      ],
    })
  })

  it('are read as far as they are at hand, wherever it ends', () => {
    const whole = frame([value, value], [0])
    // A type byte, a length and two names are always there.
    for (let end = 9; end <= whole.length; end++) {
      const values = read(whole, 10, end)?.values ?? []
      for (const { bytes: part } of values) expect(value.indexOf(part ?? '')).toBe(0)
    }
    expect(read(whole, 10, 10)).toBeUndefined()
  })
})
