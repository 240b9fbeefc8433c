// A database with nothing of anybody's own: what the tests of catalogs add to.

import type { CatalogRows } from '../../src/catalog/queries.ts'
import type { CatalogSnapshot } from '../../src/policy/catalog.ts'

const serverVersion = 180_004

export const emptySnapshot: CatalogSnapshot = {
  format: 1,
  serverVersion,
  functions: [],
  operators: [],
  types: [],
  views: [],
  relations: [],
  children: [],
  written: [],
}

export const emptyRows: CatalogRows = {
  serverVersion,
  functions: [],
  operators: [],
  casts: [],
  orders: [],
  checks: [],
  types: [],
  views: [],
  relations: [],
  children: [],
  behind: [],
  leads: [],
}
