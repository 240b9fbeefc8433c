import { Client } from 'pg'
import { expect, inject, it } from 'vitest'
import { classify } from '../../src/policy/functions.ts'
it('audit', async () => {
  const c = new Client({ connectionString: inject('adminUrl') })
  await c.connect()
  const v = await c.query('select version()'); console.log(v.rows[0])
  const { rows } = await c.query(`select proname, provolatile v, pronargs n, pronargdefaults d, proretset, prokind, proacl::text acl, pg_get_function_identity_arguments(oid) args, (select string_agg(t.typname, ',') from unnest(proargtypes) a join pg_type t on t.oid=a) types, provariadic from pg_proc where pronamespace='pg_catalog'::regnamespace order by 1`)
  const out: string[] = []
  const gap: string[] = []
  const acl: string[] = []
  for (const r of rows) {
    const base = { schema: undefined, name: r.proname, constants: [] as string[] }
    const k = classify({ ...base, notation: 'call', arguments: r.n })
    if (r.v === 'v' && k === 'harmless' && !/internal|cstring/.test(r.types ?? '')) out.push(`${r.proname}(${r.args})`)
    if (r.acl !== null && k === 'harmless') acl.push(`${r.proname} ${r.acl}`)
    if (k !== 'harmless' && r.n >= 1 && r.n - r.d <= 1 && !/internal|cstring|trigger|handler/.test(r.types ?? '')) {
      const a = classify({ ...base, notation: 'attribute', arguments: 1 })
      if (a === 'column') gap.push(`${r.proname}(${r.args}) [${k}]`)
    }
  }
  console.log('VOLATILE HARMLESS', out.join('\n'))
  console.log('REVOKED HARMLESS', acl.join('\n'))
  console.log('ATTRIBUTE GAP', gap.join('\n'))
  await c.query('create database rtx'); const d = new Client({ connectionString: inject('adminUrl').replace(/\/[^/]*$/, '/rtx') }); await d.connect()
  await d.query("CREATE FOREIGN DATA WRAPPER e; CREATE SERVER o FOREIGN DATA WRAPPER e; CREATE USER MAPPING FOR PUBLIC SERVER o OPTIONS (password 'hunter2')")
  const views = await d.query(`select n.nspname||'.'||c.relname as rel, c.relkind from pg_class c join pg_namespace n on n.oid=relnamespace where nspname in ('information_schema','pg_catalog') and relkind='v' and pg_get_viewdef(c.oid) ~ 'umoptions|pg_authid|subconninfo|pg_user_mapping|pg_largeobject|pg_statistic'`)
  console.log(views.rows.map(r=>r.rel).join(' '))
  console.log((await d.query('select umoptions from information_schema._pg_user_mappings')).rows)
  const upd = await d.query(`select table_schema||'.'||table_name t from information_schema.views where table_schema in ('information_schema','pg_catalog') and (is_updatable='YES' or is_insertable_into='YES')`)
  console.log('updatable', upd.rows.map(r=>r.t).join(' '))
  console.log((await d.query("select name from pg_available_extensions")).rows.map(r=>r.name).join(' '))
  await d.end(); await c.query('drop database rtx'); await c.end()
  expect(1).toBe(1)
})
