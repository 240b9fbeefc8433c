import { expect, it } from 'vitest'
import { shopRows } from '../../src/demo/shop-data.ts'

const today = new Date('2030-06-01T12:00:00Z')

it('makes the same shop at every run', () => {
  expect(shopRows(today)).toEqual(shopRows(today))
})

it('moves the orders along with the day', () => {
  const yearLater = new Date('2031-06-01T12:00:00Z')
  expect(shopRows(yearLater).orders[0]).not.toEqual(shopRows(today).orders[0])
  expect(shopRows(yearLater).items).toEqual(shopRows(today).items)
})
