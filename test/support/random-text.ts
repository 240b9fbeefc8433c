// Random, seeded texts at the edges of PostgreSQL's lexer: where a string, a comment or a statement ends
// is what they are about, not what they mean. Rarely legal as they come, so a part is built to be, and a
// part is made of real statements with a few tokens moved.

import { pick, type Random } from './random-session.ts'

/** Pieces that open, close or escape something, and what confuses those. */
const fragments: readonly string[] = [
  ...["'", "''", '"', '""', "E'", "e'", "U&'", 'U&"', "N'", "B'", "X'", "b'01'", "x'1F'"],
  ...[
    "\\'",
    '\\',
    '\\\\',
    "\\''",
    '\\n',
    '\\x41',
    '\\u0041',
    '\\U00000041',
    '\\0041',
    '!0041',
    '\\0',
  ],
  ...[" UESCAPE '!'", ' UESCAPE', "uescape'+'", ' UESCAPE /* c */ ', "UESCAPE '\\'"],
  ...['$$', '$a$', '$A$', '$_1$', '$1', '$1$', '$', '$a', 'a$b', '$ä$', '$a$b$'],
  ...['--', '/*', '*/', '/', '*', '-', '+', '/*/', '*/*', '/**/', '-- c\n', '-- c\r', '/* ; */'],
  ...['\n', '\r', '\r\n', '\v', '\f', '\t', ' ', '  ', '\u00a0', '\u2028', '\ufeff', '\u0085'],
  ...[';', ';', '; ', ';;', ' ; SELECT 2', '\\;', '\\g', ':a', ":'a'", '?', '?|', '@', '{d ', '}'],
  ...['é', '表', '\\表', '😀', 'ß', '\u0301', '能\\', 'ｅ'],
  ...['1', '1_000', '0x1F', '0o17', '0b101', '1e', '1e+', '1.', '.5', '1..2', '1a', '0x', '1__0'],
  ...['::', ':=', '=>', '->>', '<->', '!=', '@-', '|/', '||', '#-', '&&--', '*/-', '+-', '~*', '%'],
  ...['SELECT', 'a', 'x', 'AS', 'FROM t', '(', ')', ',', '[', ']', 'NOT', 'IN', 'NULLS', 'FIRST'],
  ...['WITH', 'TIME', 'ORDINALITY', 'BEGIN', 'END', 'ATOMIC', 'CREATE TABLE p (a int)'],
]

const gaps: readonly string[] = [
  ...[' ', ' ', ' ', '\n', '\r', '\t', '\f', '\v', '/* c */', '/**/', '/* /* in */ ; */', '--\n'],
  ...["-- it's\n", '-- ;\r', '/* " */', "/*'*/", '/*--*/', '  \n  ', '/*\n*/ ', '--/*\n'],
]

const constants: readonly ((inner: string) => string)[] = [
  (inner) => `'${inner.replaceAll("'", "''")}'`,
  (inner) => `E'${inner.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
  (inner) => `e'${inner.replaceAll('\\', '').replaceAll("'", "''")}\\''`,
  (inner) => `N'${inner.replaceAll("'", "''")}'`,
  (inner) => `U&'${inner.replaceAll('\\', '').replaceAll("'", "''")}\\0041'`,
  (inner) => `U&'${inner.replaceAll('!', '').replaceAll("'", "''")}!0041' UESCAPE '!'`,
  (inner) => `$$${inner.replaceAll('$', '')}$$`,
  (inner) => `$q$${inner.replaceAll('$q$', '')}$q$`,
  (inner) => `$é1$${inner.replaceAll('$', '')}$$ $Q$ $é1$`,
  (inner) => `"${inner.replaceAll('"', '""')}i"`,
  (inner) => `U&"${inner.replaceAll('\\', '').replaceAll('"', '""')}\\0061"`,
  (inner) => `'${inner.replaceAll("'", '')}'\n'${inner.replaceAll("'", "''")}'`,
  (inner) => `'${inner.replaceAll("'", '')}' -- c\n '${inner.replaceAll("'", "''")}'`,
  (inner) => `E'a\\'\r'${inner.replaceAll(/[\\']/g, '')}'`,
  () => "'\\'",
  () => "B'01'",
  () => "X'1f' /* ' */",
  () => '1_000',
  () => '0x1F',
  () => '1.5e3',
  () => '$1',
  () => '- 1',
  () => '-/* - */-1',
  () => '1 <->/**/ 2',
  () => '2 */* * */ 3',
  () => '@ -1',
]

/** `real` are texts to mutate. */
export function randomText(random: Random, real: readonly string[]): string {
  const roll = random()
  if (roll < 0.25) return soup(random, 1 + Math.floor(random() * 10))
  if (roll < 0.7) return built(random)
  return mutated(random, pick(random, real))
}

function soup(random: Random, length: number): string {
  const glue = pick(random, ['', '', ' '])
  const start = random() < 0.5 ? 'SELECT ' : ''
  return start + Array.from({ length }, () => pick(random, fragments)).join(glue)
}

/** Statements that are legal unless luck is against it, with one broken now and then. */
function built(random: Random): string {
  const gap = (): string => pick(random, gaps)
  const count = pick(random, [0, 1, 1, 1, 2, 2, 3])
  const parts = Array.from({ length: count }, () => {
    const constant = (): string =>
      pick(random, constants)(soup(random, 1 + Math.floor(random() * 4)).slice(0, 60))
    const statement = pick(random, [
      () => `SELECT${gap()}${constant()}`,
      () => `SELECT${gap()}${constant()}${gap()},${gap()}${constant()}`,
      () =>
        `SELECT${gap()}1${gap()}AS${gap()}a${gap()}WHERE${gap()}NOT${gap()}1${gap()}IN${gap()}(2)`,
      () => `VALUES${gap()}(${constant()}${gap()})`,
      () => `ROLLBACK${gap()}`,
      () => `DELETE${gap()}FROM${gap()}t${gap()}WHERE${gap()}a${gap()}=${gap()}${constant()}`,
      () =>
        `CREATE FUNCTION f() RETURNS int BEGIN ATOMIC${gap()}SELECT 1;${gap()}SELECT ${constant()}; END`,
      () =>
        `SELECT${gap()}a${gap()}FROM${gap()}t${gap()}ORDER BY${gap()}a${gap()}NULLS${gap()}FIRST`,
    ])
    return statement()
  })
  const text = parts.join(`${gap()};${gap()}`) + pick(random, ['', '', ';', gap(), ` ;${gap()}`])
  return random() < 0.15 ? broken(random, text) : text
}

/** One character taken out or put in. */
function broken(random: Random, text: string): string {
  const characters = Array.from(text)
  const at = Math.floor(random() * (characters.length + 1))
  if (random() < 0.5) characters.splice(at, 1)
  else characters.splice(at, 0, pick(random, fragments))
  return characters.join('')
}

/** Tokens deleted, put in, doubled or swapped. */
function mutated(random: Random, text: string): string {
  const tokens = text.match(/\w+|\s+|[^\w\s]/gu) ?? []
  for (let steps = 1 + Math.floor(random() * 3); steps > 0; steps--) {
    const at = Math.floor(random() * tokens.length)
    const other = Math.floor(random() * tokens.length)
    const token = tokens[at] ?? ''
    switch (Math.floor(random() * 4)) {
      case 0:
        tokens.splice(at, 1)
        break
      case 1:
        tokens.splice(at, 0, pick(random, fragments))
        break
      case 2:
        tokens.splice(other, 0, token)
        break
      default:
        tokens.splice(at, 1, tokens[other] ?? '')
        tokens.splice(other, 1, token)
    }
  }
  return tokens.join('')
}
