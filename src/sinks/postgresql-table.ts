// The table of the sink PostgreSQL: how it is made, and the one statement that adds to it. Ignorant of
// connections.
// PostgreSQL documentation: CREATE TABLE, JSON functions; names of src/config/audit.ts need only quotes.

/** A key of an index has at most 2,704 bytes: of what is longer, its beginning is what can be looked for. */
const mostCharacters = 256

/** `schema.table`, or `table`, quoted. */
export function quotedTable(table: string): string {
  return table
    .split('.')
    .map((part) => `"${part}"`)
    .join('.')
}

export function schemaOf(table: string): string | undefined {
  const [schema, name] = table.split('.')
  return name === undefined ? undefined : schema
}

/** Of a table that is not there yet. */
export function tableDefinition(table: string): string {
  const quoted = quotedTable(table)
  const name = table.split('.').at(-1)
  return `
    create table if not exists ${quoted} (
      event text primary key,
      chain text not null,
      seq bigint not null,
      time timestamptz not null,
      type text not null,
      principal text,
      target text,
      role text,
      decision text,
      session text,
      text text,
      relations text[],
      record jsonb not null
    );
    create index if not exists "${name}_time" on ${quoted} (time);
    create index if not exists "${name}_principal" on ${quoted} (principal, time);
    create index if not exists "${name}_session" on ${quoted} (session, seq);
    create index if not exists "${name}_relations" on ${quoted} using gin (relations)`
}

/**
 * Six arrays, an element for each record: event, chain, seq, time, type, line. The server takes out of the
 * line what has a column, so that each is sent once.
 */
export function insertion(table: string): string {
  return `
    insert into ${quotedTable(table)} (event, chain, seq, time, type,
      principal, target, role, decision, session, text, relations, record)
    select event, chain, seq, time, type,
      ${['principal', 'target', 'role', 'decision', 'session']
        .map((field) => `left(record ->> '${field}', ${mostCharacters})`)
        .join(', ')},
      record ->> 'text',
      case jsonb_typeof(record -> 'relations') when 'array' then array(
        select left(coalesce(relation ->> 'name', relation #>> '{}'), ${mostCharacters})
        from jsonb_array_elements(record -> 'relations') relation
      ) end,
      record
    from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::jsonb[])
      as shipped (event, chain, seq, time, type, record)
    on conflict (event) do nothing`
}
