// The fenced blocks of a document that have a name behind their language, as in "```sql groups.sql": what a
// reader would copy into a file, or run. So that what is written is what is tested.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Texts by name. */
export async function namedBlocks(document: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(document, 'utf8')
  const blocks = [...text.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(
    ([, name = '', block = '']) => [name, block] as const,
  )
  return new Map(blocks)
}

/** As files, with what stands for something of the reader's own exchanged. */
export async function writeBlocks(
  blocks: ReadonlyMap<string, string>,
  directory: string,
  exchanged: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, block] of blocks) {
    let text = block
    for (const [example, own] of Object.entries(exchanged)) text = text.replaceAll(example, own)
    const file = join(directory, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}
