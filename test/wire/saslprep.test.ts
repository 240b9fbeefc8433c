import { expect, it } from 'vitest'
import { saslprep } from '../../src/wire/saslprep.ts'

// RFC 4013, section 3, and what PostgreSQL does with what that forbids.
it.each([
  ['is taken as it is when it is ASCII', 'p e~n"c', 'p e~n"c'],
  ['loses a soft hyphen', 'I\u00adX', 'IX'],
  ['has its spaces made one kind', 'a\u00a0b\u3000c', 'a b c'],
  ['is composed', 'e\u0301', '\u00e9'],
  ['has compatible characters unified', '\u00aa\u2168', 'aIX'],
  ['is taken as it is with a control character', 'a\u00aa\u0007', 'a\u00aa\u0007'],
  ['is taken as it is with an invisible one', '\u00aa\u200e', '\u00aa\u200e'],
  ['is taken as it is when nothing would be left', '\u00ad', '\u00ad'],
])('a password %s', (_, password, expected) => {
  expect(saslprep(password)).toBe(expected)
})
