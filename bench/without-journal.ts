// Loaded into a pgwarden that is measured, with node --import: its statements are neither described nor
// recorded, and are told at the end of the turn that they were. Logins, sessions and all else are recorded
// as ever, which is where the receipt comes from. Of the benchmark only: the product has no such switch.

import { register } from 'node:module'
import type { JournalWaiter, Receipt } from '../src/audit/journal.ts'

// Before anything of the program is loaded.
register(new URL('without-records.js', import.meta.url))

const program = new URL('../../dist/audit/journal.js', import.meta.url)
const { Journal } = (await import(program.href)) as typeof import('../src/audit/journal.ts')
const append = Journal.prototype.append

let journal: InstanceType<typeof Journal> | undefined
let receipt: Receipt | undefined
let waiting = new Set<JournalWaiter>()

Journal.prototype.append = function (fields, waiter, beside) {
  if (fields !== '') {
    append.call(this, fields, remembering(waiter), beside)
    return
  }
  journal = this
  if (waiter !== undefined) {
    if (waiting.size === 0) setImmediate(tellAll)
    waiting.add(waiter)
  }
}

/** A receipt covers all that was appended before it, so every record must leave its own. */
function remembering(waiter: JournalWaiter | undefined): JournalWaiter {
  return {
    stored(given) {
      receipt = given
      waiter?.stored(given)
    },
    refused: (failure, upTo) => waiter?.refused(failure, upTo),
  }
}

function tellAll(): void {
  journal?.flush()
  const told = waiting
  waiting = new Set()
  if (receipt === undefined) throw new Error('a statement came before anything was recorded')
  for (const waiter of told) waiter.stored(receipt)
}
