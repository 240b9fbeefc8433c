// Pages of a list of which not everything is the caller's to see: read on until the page is full, and never for
// too long. The cursor says where the page ended, so that rows which come and go meanwhile shift nothing.

import { Failure } from '../errors.ts'
import type { Page } from './desk.ts'
import type { Position } from './desk-store.ts'
import { isId } from './id.ts'

const mostItems = 200
/** What a list that is mostly not the caller's costs at most: the page ends early, with a next one. */
const mostRows = 1_000

export interface PageSource<Row, Item> {
  readonly limit: number
  readonly after: string | undefined
  /** The rows behind the position, at most so many. */
  read(after: Position | undefined, limit: number): Promise<readonly Row[]>
  positionOf(row: Row): Position
  /** Undefined for what is not to be shown. */
  show(row: Row): Item | undefined
}

/** @throws Failure invalid_parameter for a cursor that is none. */
export async function pageOf<Row, Item>(source: PageSource<Row, Item>): Promise<Page<Item>> {
  const limit = Math.min(Math.max(1, source.limit), mostItems)
  const items: Item[] = []
  let after = source.after === undefined ? undefined : positionOf(source.after)
  for (let rowsLeft = mostRows; rowsLeft > 0; ) {
    // One more than the page holds tells whether there is a next one.
    const rows = await source.read(after, limit + 1)
    for (const row of rows) {
      if (items.length === limit) return { items, next: after && cursorOf(after) }
      after = source.positionOf(row)
      const item = source.show(row)
      if (item !== undefined) items.push(item)
    }
    if (rows.length <= limit) return { items, next: undefined }
    rowsLeft -= rows.length
  }
  return { items, next: after && cursorOf(after) }
}

function cursorOf({ at, id }: Position): string {
  return Buffer.from(`${at} ${id}`).toString('base64url')
}

function positionOf(cursor: string): Position {
  const [at = '', id = '', ...more] = Buffer.from(cursor, 'base64url').toString().split(' ')
  if (/^\d{1,15}$/.test(at) && isId(id) && more.length === 0) return { at: Number(at), id }
  throw new Failure('invalid_parameter', {
    message: 'the cursor is none of ours',
    hint: 'Take it from the page before, as it is.',
  })
}
