// What the journal says of a text: never a secret, in no mode; and everything else as it was sent.

import { beforeAll, describe, expect, it } from 'vitest'
import { recordedReason, recordedText } from '../../src/audit/recorded-text.ts'
import type { Recording } from '../../src/audit/recording.ts'
import type { Judgement } from '../../src/policy/decision.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { Lexer } from '../../src/sql/lexer.ts'
import { corpora } from '../support/corpora.ts'
import { harmlessStatements, secret, secretStatements } from '../support/secret-statements.ts'

const modes: readonly Recording['text'][] = ['full', 'normalized', 'fingerprint']
const policy = new Policy(predefinedRoles, { maxBytes: 2 * 1024 * 1024 })

beforeAll(() => loadParser())

function judged(text: string, role = 'admin'): Judgement {
  return policy.judgeText(role, text)
}

function full(text: string): string | undefined {
  return recordedText(judged(text), 'full').text
}

describe.each(modes)('recorded %s', (mode) => {
  it.each(secretStatements)('no secret is in what is said of %s', (text) => {
    for (const role of ['admin', 'read_only']) {
      const judgement = judged(text, role)
      const recorded = recordedText(judgement, mode)
      const reason = recordedReason(judgement, judgement.decision, mode)
      expect(JSON.stringify([recorded, reason])).not.toContain(secret)
      expect(recorded.redacted).toBe(true)
    }
  })
})

describe('recorded in full', () => {
  it.each(harmlessStatements)('stays as it was sent: %s', (text) => {
    expect(recordedText(judged(text), 'full')).toMatchObject({ text, redacted: false })
  })

  it.each([
    [
      "alter  ROLE bob\tPASSWORD 'hunter2' VALID UNTIL '2030-01-01';",
      "alter  ROLE bob\tPASSWORD '[redacted]' VALID UNTIL '2030-01-01';",
    ],
    [
      "SELECT 'é表😀'; SET my.password = hunter2; SELECT 'kept'",
      "SELECT 'é表😀'; SET my.password = '[redacted]'; SELECT 'kept'",
    ],
    [
      "COPY t FROM PROGRAM $$hunter2$$ WITH (DELIMITER ',')",
      "COPY t FROM PROGRAM '[redacted]' WITH (DELIMITER ',')",
    ],
    [
      "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''hunter2'''; END $$; SELECT 'kept'",
      "DO $$ BEGIN EXECUTE '[redacted]'; END $$; SELECT 'kept'",
    ],
    [
      "SELECT crypt('hunter2', hash) FROM users WHERE name = 'bob'",
      "SELECT crypt('[redacted]', hash) FROM users WHERE name = 'bob'",
    ],
    [
      'SET my.token = -5 /* c */; SELECT 1 -- d',
      "SET my.token = -'[redacted]' /*'[redacted]'*/; SELECT 1 --'[redacted]'",
    ],
    ['ALTER ROLE bob PASSWORD hunter2 x', "ALTER ROLE bob PASSWORD '[redacted]'"],
  ])('loses the secret and nothing else: %s', (text, recorded) => {
    expect(full(text)).toBe(recorded)
  })

  it('says that the values of parameters are secret where they are', () => {
    expect(recordedText(judged('SELECT crypt($1, $2)'), 'full').redacted).toBe(true)
    for (const text of [
      "UPDATE pg_settings SET setting = $1 WHERE name = 'app.password'",
      'SELECT dblink_connect(x) FROM (SELECT $1::text) v(x)',
    ]) {
      expect(recordedText(judged(text), 'full').redacted).toBe(true)
    }
    expect(recordedText(judged('SELECT upper($1)'), 'full').redacted).toBe(false)
    expect(recordedText(judged('SELECT crypt(a, b) FROM t'), 'full').redacted).toBe(false)
  })

  it('gives what a name stands for without the secret too', () => {
    const { analysis } = judged("SELECT 'é'; PREPARE p AS SELECT crypt('hunter2', $1)")
    const statements = analysis.type === 'parsed' ? analysis.statements : []
    const inner = statements[1]?.prepares?.statement
    const [place] = inner?.secrets ?? []
    expect(inner?.text.slice(place?.start, place?.end)).toBe("'hunter2'")
  })

  it('is quick with a megabyte of secrets, and with one of what might be some', () => {
    const began = process.cpuUsage().user
    for (const piece of ["ALTER ROLE a PASSWORD 'x';", "SELECT '://a:password ', crypt(';"]) {
      const text = piece.repeat(60_000 / piece.length)
      recordedText(judged(text), 'full')
      recordedText(judged(`SELECT '${text.replaceAll("'", "''")}'`), 'full')
    }
    expect(process.cpuUsage().user - began).toBeLessThan(2_000_000)
  })
})

describe('normalized', () => {
  it.each([
    ["SELECT  'a',\n 5 -- c\n, b'01', $2", 'SELECT $3, $4 , $5, $2'],
    ["SELECT'a'FROM t LIMIT 5", 'SELECT $1 FROM t LIMIT $2'],
    ["SET x = 'v'", 'SET x = $1'],
    [
      "CREATE ROLE bob PASSWORD 'p' VALID UNTIL '2030-01-01'",
      'CREATE ROLE bob PASSWORD $1 VALID UNTIL $2',
    ],
    ['COMMENT ON TABLE t IS $$x$$', 'COMMENT ON TABLE t IS $1'],
    ['DO $$ BEGIN END $$', 'DO $1'],
    ["SELECT interval '1 day' + E'\\''", 'SELECT interval $1 + $2'],
    ["NOTIFY c, 'payload'", 'NOTIFY c, $1'],
  ])('%s is %s', (text, normalized) => {
    expect(recordedText(judged(text), 'normalized').text).toBe(normalized)
  })

  it('shows no constant of any statement that people’s tools send', () => {
    const texts = corpora().filter((text, index) => index % 7 === 0 && text.length < 2000)
    const shown = texts.flatMap((text) => recordedText(judged(text), 'normalized').text ?? [])
    expect(shown.length).toBeGreaterThan(100)
    for (const text of shown) {
      const lexer = new Lexer(text)
      while (lexer.next()) expect(['string', 'number', 'comment']).not.toContain(lexer.kind)
    }
  })

  it('shows no constant in a reason either', () => {
    const text = "SET session_replication_role = 'x77777'"
    const judgement = judged(text, 'read_only')
    expect(judgement.decision.reason).toContain('77777')
    for (const mode of ['normalized', 'fingerprint'] as const) {
      expect(recordedReason(judgement, judgement.decision, mode)).not.toContain('77777')
    }
    expect(recordedReason(judgement, judgement.decision, 'full')).toContain('77777')
  })

  it('shows nothing of what cannot be parsed', () => {
    const judgement = judged("SELEC 'x'")
    const { text, fingerprint } = recordedText(judgement, 'normalized')
    expect([text, fingerprint]).toEqual([undefined, undefined])
    expect(recordedReason(judgement, judgement.decision, 'normalized')).not.toContain('SELEC')
  })
})

describe('the fingerprint', () => {
  const of = (text: string): string | undefined => recordedText(judged(text), 'full').fingerprint

  it.each([
    ["SELECT a FROM t WHERE b = 'x'", 'select a\nfrom t /* c */ where b = 7;'],
    ['SELECT a FROM t WHERE b = $1', 'SELECT a FROM t WHERE b = 5'],
    ['SELECT 1 IN (1, -2, 3)', 'SELECT 1 IN (4)'],
    ["INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO t VALUES (4, 'd')"],
    ["CREATE ROLE a PASSWORD 'x'", "CREATE ROLE a PASSWORD 'y'"],
    ["SET my.password = 'x'", 'SET my.password = y'],
  ])('is the same for %s and %s', (one, other) => {
    expect(of(one)).toMatch(/^[\da-f]{16}$/)
    expect(of(one)).toBe(of(other))
  })

  it.each([
    ['SELECT a FROM t', 'SELECT b FROM t'],
    ['SELECT a FROM t', 'SELECT a FROM "T"'],
    ['SELECT 1 + 1', 'SELECT 1'],
    ['SELECT (1), (2) WHERE a', 'SELECT (1)'],
  ])('tells %s from %s', (one, other) => {
    expect(of(one)).not.toBe(of(other))
  })
})
