import { describe, expect, it } from 'vitest'
import { decodeOptions } from '../../src/wire/startup.ts'

describe('the options startup parameter', () => {
  it.each([
    ['-c statement_timeout=5s', [['statement_timeout', '5s']]],
    ['-cgeqo=off', [['geqo', 'off']]],
    ['--search_path=a,b', [['search_path', 'a,b']]],
    ['--statement-timeout=1', [['statement_timeout', '1']]],
    [
      '  -c  a=1   --b=2 ',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    ['-c search_path=a\\ b', [['search_path', 'a b']]],
    ['-c a=x\\\\y', [['a', 'x\\y']]],
    ['-c a=b=c', [['a', 'b=c']]],
    ['', []],
  ])('reads %j as the server does', (options, settings) => {
    expect(decodeOptions(options)).toEqual(settings)
  })

  it.each(['-O', '-c', '-c name', '--=x', '-s', 'name=value', '-d 5', '-c =x', '-B 100'])(
    'refuses %j, which is no plain setting',
    (options) => {
      expect(() => decodeOptions(options)).toThrow(expect.objectContaining({ sqlstate: '42501' }))
    },
  )
})
