// Loaded into a pgwarden that is measured, with node --import: its statements are neither described, nor
// sealed, nor written. Logins, sessions and all else are recorded as ever, and who waits is told by the
// journal itself at the end of the turn. Of the benchmark only: the product has no such switch.

import { register } from 'node:module'

// Before anything of the program is loaded.
register(new URL('without-records.js', import.meta.url))

const program = new URL('../../dist/', import.meta.url)
const { BatchBuffer } = (await import(
  new URL('audit/batch.js', program).href
)) as typeof import('../src/audit/batch.ts')
const { JournalFiles } = (await import(
  new URL('journal/files.js', program).href
)) as typeof import('../src/journal/files.ts')

const { add } = BatchBuffer.prototype
BatchBuffer.prototype.add = function (entry) {
  if (entry.fields !== '') add.call(this, entry)
}

const { write } = JournalFiles.prototype
JournalFiles.prototype.write = function (batch) {
  if (batch.length > 0) write.call(this, batch)
}
