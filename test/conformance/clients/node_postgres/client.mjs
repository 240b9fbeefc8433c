// node-postgres with its cursor and its COPY streams: TLS by SSLRequest and without, its own codec.

import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
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
  tls,
  Unsupported,
  within,
} from '../node/checks.mjs'

const { Client, Pool } = load('pg')
const Cursor = load('pg-cursor')
const copy = load('pg-copy-streams')

const fields = ['code', 'severity', 'message', 'detail', 'hint', 'position', 'constraint', 'table']

async function withClient(work, more = {}) {
  const client = new Client({ ...address, connectionTimeoutMillis: 10_000, ...more })
  // Reported by the statement that meets it.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

await run('pg', {
  connect: () =>
    withClient(
      async (client) => {
        const { rows: seen } = await client.query(
          "select current_setting('application_name') as name, current_setting('work_mem') as memory, pg_backend_pid() as pid",
        )
        const [{ pid, ...settings }] = seen
        return [settings, pid === client.processID, client.connection.stream.encrypted === true]
      },
      { application_name: 'conformance', options: '-c work_mem=5MB', statement_timeout: 20_000 },
    ),

  simple: () =>
    withClient(async (client) => {
      const { rows: seen, fields: columns, command } = await client.query(simple)
      const several = await client.query("select 1 as a; select 2 where false; select 'last' as c")
      const types = columns.map(({ name, dataTypeID, format }) => [name, dataTypeID, format])
      return [seen, types, command, several.map((each) => [each.rows, each.rowCount])]
    }),

  prepared: () =>
    withClient(async (client) => {
      const seen = []
      for (let n = 0; n < 5; n++) {
        const values = [n, n % 2 ? null : `ünï ${n}`, new Date(86_400_000 * n), ['a', null, '"']]
        const text =
          'select $1::int + 1 as n, $2 as text, $3::timestamptz as at, $4::text[] as list'
        seen.push(...(await client.query({ name: 'every', text, values })).rows)
      }
      await client.query('deallocate every')
      return [seen, (await client.query('select $1::bytea as b', [Buffer.from([0, 255])])).rows]
    }),

  binary: () =>
    withClient(async (client) => {
      const text = "select 1::int4 as i, 2::int8 as l, 1.5::float8 as f, true as b, 'ünï' as t"
      return (await client.query({ text, binary: true })).rows
    }),

  batch: () =>
    withClient(async (client) => {
      await client.query('create temporary table batch (n int, line text)')
      const insert = { name: 'insert', text: 'insert into batch values ($1, $2)' }
      // Asked for at once; the driver sends each when the one before is done.
      const work = Array.from({ length: 500 }, (_, n) =>
        client.query({ ...insert, values: [n, line(n)] }),
      )
      const counts = (await Promise.all(work)).map(({ rowCount }) => rowCount)
      const { rows: seen } = await client.query('select line from batch order by n')
      return [counts.length, new Set(counts).size, digest(seen.map((row) => row.line))]
    }),

  pipeline: () =>
    withClient(
      async (client) => {
        const texts = ['select 1 as n', 'select 1/0', 'select $1::int as n', 'select 3 as n']
        const work = texts.map((text) =>
          client.query({ text, values: text.includes('$') ? [2] : [] }),
        )
        const ends = await Promise.allSettled(work)
        return ends.map((end) => end.value?.rows ?? end.reason.code)
      },
      { pipeline: true },
    ),

  transaction: () =>
    withClient(async (client) => {
      const seen = []
      await client.query('create temporary table steps (n int)')
      await client.query('begin; insert into steps values (1); savepoint here')
      for (const text of ['select 1/0', 'select 1']) {
        seen.push(await failure(client.query(text), fields))
      }
      await client.query('rollback to savepoint here')
      await client.query('insert into steps values ($1)', [2])
      seen.push((await client.query('commit')).command)
      await client.query('begin; insert into steps values (3)')
      await failure(client.query('select $1::int / 0', [1]), fields)
      seen.push((await client.query('commit')).command)
      return [seen, (await client.query('select n from steps order by n')).rows]
    }),

  copy_in: () =>
    withClient(async (client) => {
      await client.query('create temporary table loaded (n int, line text)')
      const stream = client.query(copy.from('copy loaded from stdin'))
      const source = Readable.from(
        (function* () {
          for (let n = 0; n < rows; n++) yield `${n}\tline ${n} ünï\n`
        })(),
      )
      await pipeline(source, stream)
      const sums = 'select count(*), sum(n), md5(string_agg(line, $1 order by n)) from loaded'
      const seen = (await client.query(sums, [','])).rows
      const broken = pipeline(
        Readable.from(['1\tfine\nno number\tx\n']),
        client.query(copy.from('copy loaded from stdin')),
      )
      const error = await failure(broken, ['code', 'message', 'where'])
      return [stream.rowCount, seen, error, (await client.query('select 1 as usable')).rows]
    }),

  copy_out: () =>
    withClient(async (client) => {
      const query = `select n, 'line ünï ' || n from generate_series(1, ${rows}) n`
      const stream = client.query(copy.to(`copy (${query}) to stdout`))
      const parts = []
      const sink = new Writable({
        write: (part, _encoding, done) => {
          parts.push(part)
          done()
        },
      })
      await pipeline(stream, sink)
      return [stream.rowCount, digest(Buffer.concat(parts).toString().split('\n'))]
    }),

  cursor: () =>
    withClient(async (client) => {
      const cursor = client.query(
        new Cursor('select n from generate_series(1, $1::int) n', [10_000]),
      )
      const seen = []
      for (let part = await cursor.read(500); part.length > 0; part = await cursor.read(500)) {
        seen.push(...part.map((row) => String(row.n)))
      }
      await cursor.close()
      const early = client.query(new Cursor('select generate_series(1, 1000)'))
      const first = await early.read(3)
      await early.close()
      return [digest(seen), first, (await client.query('select 1 as usable')).rows]
    }),

  notify: () =>
    withClient((listener) =>
      withClient(async (speaker) => {
        const channel = 'conformance_node_postgres'
        const heard = []
        listener.on('notification', (each) =>
          heard.push([each.channel, each.payload, each.processId === speaker.processID]),
        )
        await listener.query(`listen ${channel}`)
        await speaker.query(`notify ${channel}, 'to another ünï'`)
        while (heard.length < 1) await once(listener, 'notification')
        await listener.query(`notify ${channel}, 'to itself'`)
        return heard
      }),
    ),

  cancel: () =>
    withClient(async (client) => {
      const sleeping = client.query('select pg_sleep(30)')
      const failed = failure(sleeping, fields)
      await sleep(1000)
      // What a Client has for it speaks plain; over TLS too, PostgreSQL takes it.
      const canceller = new Client({ ...address })
      canceller.cancel(client, client._activeQuery ?? client.activeQuery)
      const error = await within(5000, failed)
      canceller.connection.stream.destroy()
      return [error, (await client.query('select 1 as usable')).rows]
    }),

  notices: () =>
    withClient(async (client) => {
      const seen = []
      client.on('notice', ({ code, severity, message, detail, hint }) =>
        seen.push([code, severity, message, detail, hint]),
      )
      await client.query("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
      await client.query('select speak($1)', ['node'])
      return seen
    }),

  many: async () => {
    const pool = new Pool({ ...address, max: 10, connectionTimeoutMillis: 20_000 })
    const clients = await Promise.all(Array.from({ length: 10 }, () => pool.connect()))
    const answers = await Promise.all(
      clients.map((client, n) => client.query('select $1::int * 2 as twice', [n])),
    )
    const ids = new Set(clients.map((client) => client.processID))
    for (const client of clients) client.release()
    await pool.end()
    return [answers.flatMap((answer) => answer.rows), ids.size]
  },

  errors: () =>
    withClient(async (client) => {
      await client.query('create temporary table things (id int constraint one_id primary key)')
      await client.query('insert into things values (1)')
      const own = "using errcode = 'AB123', detail = 'd', hint = 'h'"
      const texts = [
        'insert into things values (1)',
        'select ünï from things whre true',
        'select nothing from things',
        `do $$ begin raise exception 'own' ${own}; end $$`,
      ]
      const seen = []
      for (const text of texts) {
        seen.push(await failure(client.query(text), fields))
        // As a prepared statement: Parse, Bind and Execute in one burst.
        seen.push(await failure(client.query({ text, queryMode: 'extended' }), fields))
      }
      return seen
    }),

  large_objects: () => Promise.reject(new Unsupported('the driver has no interface to them')),

  direct_tls: () => {
    if (!tls) throw new Unsupported('without TLS')
    return withClient(async (client) => (await client.query('select 1 as one')).rows, {
      sslnegotiation: 'direct',
    })
  },
})
