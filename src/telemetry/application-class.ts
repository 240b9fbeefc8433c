// Which kind of software a client is, by what it calls itself: one of a fixed list, because a name of the client's
// own as a label could be another one each time. What names say, and who says true, is not known here.

/** By how their application_name begins, in lower case. */
const beginnings = [
  ['psql', 'psql'],
  ['pgadmin', 'pgadmin'],
  ['dbeaver', 'dbeaver'],
  ['datagrip', 'datagrip'],
  ['intellij', 'datagrip'],
  ['postgresql jdbc driver', 'pgjdbc'],
  ['metabase', 'metabase'],
  ['tableau', 'tableau'],
  ['microsoft power bi', 'power_bi'],
  ['mashup engine', 'power_bi'],
  ['looker', 'looker'],
  ['apache superset', 'superset'],
  ['grafana', 'grafana'],
  ['dbvisualizer', 'dbvisualizer'],
  ['tableplus', 'tableplus'],
  ['postico', 'postico'],
  ['navicat', 'navicat'],
  ['beekeeper studio', 'beekeeper'],
  ['dbt', 'dbt'],
  ['pg_dump', 'pg_dump'],
  ['pgbench', 'pgbench'],
  ['pgcli', 'pgcli'],
] as const

type Class = (typeof beginnings)[number][1] | 'none' | 'other'

export const applicationClasses: readonly Class[] = [
  ...new Set(beginnings.map(([, name]) => name)),
  'none',
  'other',
]

/** `none`: it gives no name. */
export function applicationClass(name: string): Class {
  if (name === '') return 'none'
  const known = name.toLowerCase()
  return beginnings.find(([beginning]) => known.startsWith(beginning))?.[1] ?? 'other'
}
