// Compresses segments of a journal that lies still or is written, the way the keeper does: a new file under
// its name, then the old one is gone.

import { readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** All of a chain but the newest, or all. */
export function compressSegments(directory: string, { all = false, chain = 'main' } = {}): void {
  const plain = segmentsIn(directory, chain).filter((file) => file.endsWith('.jsonl'))
  for (const file of all ? plain : plain.slice(0, -1)) {
    const path = join(directory, file)
    writeFileSync(`${path}.tmp`, gzipSync(readFileSync(path)))
    renameSync(`${path}.tmp`, `${path}.gz`)
    unlinkSync(path)
  }
}

/** The oldest ones, as when their time is over. */
export function deleteSegments(directory: string, count: number, chain = 'main'): void {
  for (const file of segmentsIn(directory, chain).slice(0, count)) {
    unlinkSync(join(directory, file))
  }
}

function segmentsIn(directory: string, chain: string): readonly string[] {
  const name = new RegExp(`^${chain}-\\d{12}\\.jsonl(\\.gz)?$`)
  return readdirSync(directory)
    .filter((file) => name.test(file))
    .sort()
}
