import { expect, it } from 'vitest'
import { Anteroom, type Guest } from '../../src/proxy/anteroom.ts'
import { HeldClock } from '../support/memory-journal.ts'

const clock = new HeldClock()

function room(): {
  readonly anteroom: Anteroom
  readonly dismissed: string[]
  guest(name: string): Guest
} {
  const dismissed: string[] = []
  return {
    anteroom: new Anteroom(clock),
    dismissed,
    guest: (name) => ({ dismiss: () => dismissed.push(name) }),
  }
}

it('gives the place of whoever has kept it waiting longest to the next', () => {
  const { anteroom, dismissed, guest } = room()
  for (const name of ['first', 'second']) {
    anteroom.enter(guest(name))
    clock.wall += 700
  }
  expect(anteroom.makeRoom()).toBe(true)
  expect(anteroom.makeRoom()).toBe(false)
  expect(dismissed).toEqual(['first'])
})

it('takes no place from a login that goes on at an ordinary pace, or is over', () => {
  const { anteroom, dismissed, guest } = room()
  const loggedIn = guest('logged in')
  anteroom.enter(loggedIn)
  anteroom.leave(loggedIn)
  clock.wall += 5_000
  anteroom.enter(guest('just come'))
  clock.wall += 999
  expect(anteroom.makeRoom()).toBe(false)
  expect(dismissed).toEqual([])
})

it('takes the places of the refused first, and at once', () => {
  const { anteroom, dismissed, guest } = room()
  anteroom.enter(guest('silent'))
  clock.wall += 2_000
  const refused = guest('refused')
  anteroom.enter(refused)
  anteroom.refuse(refused)
  while (anteroom.makeRoom());
  expect(dismissed).toEqual(['refused', 'silent'])
})
