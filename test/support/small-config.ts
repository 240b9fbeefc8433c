// A configuration with no more in it than must be, for the tests of one section.

/** `lines`: sections on the top level, in YAML. */
export function smallConfig(lines: string): string {
  return `store: { url: postgres://pgwarden:hidden@db/pgwarden }
journal: { directory: journal }
${lines}
targets:
  shop:
    host: db
    database: shop
    credentials:
      broker:
        user: broker
        password: hidden
        owned: drop
        creation: { read_only: ['GRANT reader TO {{name}}'] }
    catalog: { snapshot: false }
`
}
