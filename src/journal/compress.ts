// A sealed file of the journal, compressed in place. At every moment one whole copy is there: the new one gets
// its name when it is on the disk, and the old one goes after that. Whoever dies in between leaves something
// that `clearLeftovers` knows. Ignorant of lines. Format: RFC 1952.

import { createReadStream, createWriteStream, readdirSync, unlinkSync } from 'node:fs'
import { rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { syncDirectory } from './append-file.ts'

const chunkBytes = 256 * 1024
const temporary = '.gz.tmp'

export async function compress(path: string, signal: AbortSignal): Promise<void> {
  const unfinished = `${path}${temporary}`
  try {
    await pipeline(
      createReadStream(path, { highWaterMark: chunkBytes }),
      createGzip({ level: 6, chunkSize: chunkBytes }),
      createWriteStream(unfinished, { mode: 0o600, flush: true }),
      { signal },
    )
    await rename(unfinished, `${path}.gz`)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
  await unlink(path)
}

/** What a process left that died while it compressed: half a copy, or both copies, of which the old one counts. */
export function clearLeftovers(directory: string, chain: string): void {
  const files = new Set(readdirSync(directory))
  for (const file of files) {
    if (!/^-\d{12}\./.test(file.slice(chain.length)) || !file.startsWith(chain)) continue
    const twice = file.endsWith('.gz') && files.has(file.slice(0, -'.gz'.length))
    if (twice || file.endsWith(temporary)) unlinkSync(join(directory, file))
  }
}
