// postgres.js: everything in the extended protocol, described first, pipelined on one connection.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  address,
  digest,
  failure,
  line,
  load,
  rows,
  run,
  simple,
  Unsupported,
  within,
} from '../node/checks.mjs'

const postgres = load('postgres')

const fields = ['code', 'severity', 'message', 'detail', 'hint', 'position', 'constraint_name']

async function withSql(work, more = {}) {
  const sql = postgres({
    ...address,
    max: 1,
    connect_timeout: 10,
    onnotice: () => undefined,
    ...more,
  })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 2 })
  }
}

await run('postgres', {
  connect: () =>
    withSql(
      async (sql) => {
        const names =
          "current_setting('application_name') as name, current_setting('work_mem') as memory"
        const [settings] = await sql.unsafe(`select ${names}`)
        const [{ pid }] = await sql`select pg_backend_pid() as pid`
        const { server_version: version, client_encoding: encoding } = sql.parameters
        const query = await sql`select 1`
        return [settings, pid === query.state.pid, version, encoding]
      },
      { connection: { application_name: 'conformance', work_mem: '5MB' } },
    ),

  simple: () =>
    withSql(async (sql) => {
      const seen = await sql.unsafe(simple)
      const several = await sql`select 1 as a; select 2 where false; select 'last' as c`.simple()
      return [seen, seen.columns.map(({ name, type }) => [name, type]), several]
    }),

  prepared: () =>
    withSql(async (sql) => {
      const seen = []
      for (let n = 0; n < 5; n++) {
        const text = n % 2 ? null : `ünï ${n}`
        const at = new Date(86_400_000 * n)
        seen.push(
          ...(await sql`select ${n}::int + 1 as n, ${text}::text as text, ${at}::timestamptz as at,
          ${['a', null, '"']}::text[] as list, ${Buffer.from([0, 255])}::bytea as bytes`),
        )
      }
      return seen
    }),

  binary: () => Promise.reject(new Unsupported('results and parameters are always text')),

  batch: () =>
    withSql(async (sql) => {
      await sql`create temporary table batch (n int, line text)`
      // On one connection, without waiting between.
      const work = Array.from(
        { length: 300 },
        (_, n) => sql`insert into batch values (${n}, ${line(n)})`,
      )
      const counts = (await Promise.all(work)).map(({ count }) => count)
      const many = Array.from({ length: 200 }, (_, n) => ({ n: 300 + n, line: line(300 + n) }))
      await sql`insert into batch ${sql(many)}`
      const seen = await sql`select line from batch order by n`
      return [counts.length, new Set(counts).size, digest(seen.map((row) => row.line))]
    }),

  pipeline: () =>
    withSql(async (sql) => {
      const work = [sql`select 1 as n`, sql`select 1/0`, sql`select ${2}::int as n`]
      const ends = await Promise.allSettled(work)
      return ends.map((end) => end.value ?? end.reason.code)
    }),

  transaction: () =>
    withSql(async (sql) => {
      const seen = []
      await sql`create temporary table steps (n int)`
      await sql.begin(async (own) => {
        await own`insert into steps values (1)`
        const inner = own.savepoint(async (deeper) => {
          await deeper`insert into steps values (2)`
          await deeper`select 1/0`
        })
        seen.push(await failure(inner, fields))
        await own`insert into steps values (3)`
      })
      const failing = sql.begin(async (own) => {
        await own`insert into steps values (4)`
        await own`select 1/0`.catch((error) => seen.push(error.code))
        await own`select 1`
      })
      seen.push(await failure(failing, fields))
      return [seen, await sql`select n from steps order by n`]
    }),

  copy_in: () =>
    withSql(async (sql) => {
      await sql`create temporary table loaded (n int, line text)`
      const stream = await sql`copy loaded from stdin`.writable()
      for (let n = 0; n < rows; n++) {
        const more = stream.write(`${n}\tline ${n} ünï\n`)
        if (!more) await new Promise((resolve) => stream.once('drain', resolve))
      }
      await new Promise((resolve, reject) => {
        stream.once('error', reject).once('finish', resolve).end()
      })
      return await sql`select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded`
    }),

  copy_out: () =>
    withSql(async (sql) => {
      const query = `select n, 'line ünï ' || n from generate_series(1, ${rows}) n`
      const parts = []
      for await (const part of await sql.unsafe(`copy (${query}) to stdout`).readable()) {
        parts.push(part)
      }
      return digest(Buffer.concat(parts).toString().split('\n'))
    }),

  cursor: () =>
    withSql(async (sql) => {
      const seen = []
      await sql`select n from generate_series(1, ${10_000}::int) n`.cursor(500, (part) => {
        seen.push(...part.map((row) => String(row.n)))
      })
      const early = []
      for await (const part of sql`select generate_series(1, 1000) as n`.cursor(3)) {
        early.push(...part.map((row) => row.n))
        break
      }
      return [digest(seen), early, await sql`select 1 as usable`]
    }),

  notify: () =>
    withSql(async (sql) => {
      const heard = []
      const { unlisten } = await sql.listen('conformance_postgres_js', (payload) =>
        heard.push(payload),
      )
      await sql.notify('conformance_postgres_js', 'to another ünï')
      await within(
        5000,
        (async () => {
          while (heard.length < 1) await sleep(20)
        })(),
      )
      await unlisten()
      return heard
    }),

  cancel: () =>
    withSql(async (sql) => {
      const sleeping = sql`select pg_sleep(30)`
      const failed = failure(sleeping, fields)
      await sleep(1000)
      await sleeping.cancel()
      return [await within(5000, failed), await sql`select 1 as usable`]
    }),

  notices: async () => {
    const seen = []
    const onnotice = ({ code, severity, message, detail, hint }) =>
      seen.push([code, severity, message, detail, hint])
    await withSql(
      async (sql) => {
        await sql.unsafe("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
        await sql`select speak(${'postgres.js'})`
      },
      { onnotice },
    )
    return seen
  },

  many: () =>
    withSql(
      async (sql) => {
        const work = Array.from({ length: 10 }, (_, n) => {
          return sql`select ${n}::int * 2 as twice, pg_backend_pid() as pid, pg_sleep(0.3)::text`
        })
        const answers = (await Promise.all(work)).flat()
        return [answers.map(({ twice }) => twice), new Set(answers.map(({ pid }) => pid)).size]
      },
      { max: 10 },
    ),

  errors: () =>
    withSql(async (sql) => {
      await sql`create temporary table things (id int constraint one_id primary key)`
      await sql`insert into things values (1)`
      const own = "using errcode = 'AB123', detail = 'd', hint = 'h'"
      const texts = [
        'insert into things values (1)',
        'select ünï from things whre true',
        'select nothing from things',
        `do $$ begin raise exception 'own' ${own}; end $$`,
      ]
      const seen = []
      for (const text of texts) {
        seen.push(await failure(sql.unsafe(text), fields))
        seen.push(await failure(sql.unsafe(text, [], { prepare: true }), fields))
      }
      return seen
    }),

  large_objects: () =>
    withSql(async (sql) => {
      const [{ oid }] = await sql`select lo_create(0) as oid`
      // Opens a transaction of its own, which `close` ends.
      const object = await sql.largeObject(oid)
      await object.write(Buffer.from('0123456789'.repeat(1000)))
      await object.seek(995, 0)
      const [{ data }] = await object.read(10)
      const position = await object.tell()
      await object.close()
      await sql`select lo_unlink(${oid})`
      return [data.toString(), position]
    }),
})
