// psql through the proxy is psql: the same script, straight to the server and through pgwarden, prints
// the same. And what only a person at a terminal does: Ctrl-C.

import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPsql, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'

const psql = findPsql() ?? ''
if (psql === '') console.warn('NOT RUN: psql is not installed, so its tests are not run')

const schema = `
  create table items (id int primary key, name text not null, price numeric(8,2));
  insert into items select n, 'item ' || n, n * 1.5 from generate_series(1, 1000) n;
  create view dear as select * from items where price > 1000;
  create function twice(n int) returns int language sql immutable as 'select n * 2';
  comment on table items is 'what is sold';
`

const script = String.raw`
\set VERBOSITY verbose
\d
\d items
\d+ dear
\dt+
\df
\dn
\du nobody
\dx
\sf twice
\z items
select * from items order by id limit 3;
select 1 as one\; select 2 as two;
select 1 as one; select 2 as two;
\gdesc
select id, name from items where id = 7 \gx
select 'select ' || id from items where id < 3 order by id \gexec
begin;
savepoint a;
insert into items values (2000, 'new', 1);
savepoint b;
insert into items values (2000, 'twice', 1);
rollback to b;
select count(*) from items;
rollback to a;
select count(*) from items;
commit;
begin;
select 1/0;
select 'not now';
commit;
begin;
declare c scroll cursor for select id from items order by id;
fetch 3 from c;
move 5 in c;
fetch backward 2 from c;
close c;
commit;
prepare q (int) as select name from items where id = $1;
execute q (5);
deallocate q;
\set FETCH_COUNT 100
select count(*), sum(n) from (select generate_series(1, 1000) n) s;
select id from items order by id offset 850;
\unset FETCH_COUNT
explain (costs off) select * from items where id = 1;
set work_mem = '8MB';
show work_mem;
reset work_mem;
create temp table scratch (line text);
\copy scratch from stdin
one
two
three
\.
select * from scratch order by 1;
copy scratch to stdout;
copy scratch (line) from stdin;
four
\.
copy (select count(*) from scratch) to stdout with csv header;
drop table scratch;
select repeat('x', 100000);
raise;
select 'ünï', E'tab\there', '😀';
do language plpgsql 'begin raise notice ''a notice''; raise warning ''a warning''; end';
vacuum nowhere;
select * from nowhere;
notify nobody;
;
select;
values (1, 'a'), (2, 'b');
table items limit 1;
`

let warden: Warden

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
})
afterAll(() => warden.stop())

describe.runIf(psql !== '')('psql', () => {
  it('prints through the proxy what it prints from the server itself', async () => {
    const direct = await runProgram(psql, ['-X', '-a', warden.target.url], { input: script })
    const through = await runProgram(psql, ['-X', '-a', await warden.conninfo('admin')], {
      input: script,
    })
    const neutral = (text: string) =>
      text
        // Names and times differ; nothing else may.
        .replaceAll(warden.target.name, 'shop')
        .replace(/pgw_[a-z0-9_]+/g, 'someone')
        // A text that cannot be parsed stops at pgwarden's own copy of PostgreSQL's parser.
        .replace(/^LOCATION: {2}scanner_yyerror.*\n/gm, '')
    expect(neutral(through.stderr)).toBe(neutral(direct.stderr))
    expect(neutral(through.stdout)).toBe(neutral(direct.stdout))
    expect(through.stdout).toContain('what is sold')
    expect(through.stderr).toContain('a notice')
  })

  it('completes names as a user types, in a read_only session', async () => {
    // What Tab asks the server for; psql sends these queries itself only to a terminal.
    const words = [
      "SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') AND (c.relname) LIKE 'it%' AND pg_catalog.pg_table_is_visible(c.oid) LIMIT 1000",
      "SELECT DISTINCT s.name FROM (VALUES ('work_mem')) s(name) WHERE s.name LIKE 'work%'",
    ]
    const { stderr, status } = await runProgram(
      psql,
      ['-X', '-v', 'ON_ERROR_STOP=1', await warden.conninfo('read_only')],
      { input: `${words.join(';\n')};\n\\d\n\\dt+\n\\df\n\\d items\n` },
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  it('copies a file in and out unchanged', async () => {
    const file = join(warden.directory, 'rows.tsv')
    const back = join(warden.directory, 'back.tsv')
    const rows = Array.from({ length: 50_000 }, (_, n) => `${n}\tline ${n} ünï`).join('\n')
    await writeFile(file, `${rows}\n`)
    const { stderr } = await runProgram(
      psql,
      ['-X', '-q', '-v', 'ON_ERROR_STOP=1', await warden.conninfo('read_full_write')],
      {
        input: `create table loaded (n int, line text);\n\\copy loaded from '${file}'\n\\copy (select * from loaded order by n) to '${back}'\ndrop table loaded;\n`,
      },
    )
    expect(stderr).toBe('')
    expect(await readFile(back, 'utf8')).toBe(`${rows}\n`)
    const outcomes = await warden.journal('outcome')
    expect(outcomes).toContainEqual(expect.objectContaining({ command: 'COPY', rows: 50_000 }))
  })

  it('cancels a running statement with Ctrl-C, and goes on', async () => {
    const child = spawn(psql, ['-X', '-At', await warden.conninfo('read_only')])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stdin.write("select 'before';\nselect pg_sleep(60);\n")
    await sleep(1_000)
    const startedAt = Date.now()
    child.kill('SIGINT')
    while (!output.includes('canceling statement due to user request')) {
      if (Date.now() - startedAt > 5_000) throw new Error(`not cancelled: ${output}`)
      await sleep(20)
    }
    // psql gives up the rest of its input when it is not a terminal; the session was fine.
    child.stdin.end()
    const cancels = await warden.journal('cancel')
    expect(cancels.at(-1)).toMatchObject({ result: 'sent' })
    expect((await warden.journal('outcome')).at(-1)).toMatchObject({ sqlstate: '57014' })
  })

  it('repeats a query with \\watch until it is interrupted', async () => {
    const child = spawn(psql, ['-X', '-At', await warden.conninfo('read_only')])
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stdin.write("select 'again' \\watch 0.1\n")
    const startedAt = Date.now()
    while ((output.match(/again/g)?.length ?? 0) < 3) {
      if (Date.now() - startedAt > 10_000) throw new Error(`not repeated: ${output}`)
      await sleep(20)
    }
    child.kill('SIGINT')
    child.stdin.end()
  })

  it('reads a result of 100 MB that it takes its time for', async () => {
    const { stdout } = await runProgram(psql, ['-X', '-At', await warden.conninfo('read_only')], {
      input: "select repeat(md5(n::text), 320) from generate_series(1, 10000) n;\nselect 'end';\n",
    })
    expect(stdout.length).toBe(10_000 * (32 * 320 + 1) + 'end\n'.length)
  })

  it('logs in with a one-time token for one sitting, and not from a second one', async () => {
    const conninfo = await warden.conninfo('read_only', { kind: 'single-use' })
    const once = await runProgram(psql, ['-X', '-At', conninfo, '-c', 'select 1'])
    expect(once.stdout).toBe('1\n')
    const again = await runProgram(psql, ['-X', '-At', conninfo, '-c', 'select 1'])
    expect(again.stderr).toContain('password authentication failed for user "user_read_only"')
    expect(again.status).toBe(2)
  })
})
