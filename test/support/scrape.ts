// What a running pgwarden has counted, as whoever scrapes it reads it.

import type { Warden } from './warden.ts'

/** The sum of the metric's series that have these labels, written as the scrape writes them: `limit="idle"`. */
export async function counted(
  { apiUrl }: Pick<Warden, 'apiUrl'>,
  name: string,
  ...labels: readonly string[]
): Promise<number> {
  const text = await (await fetch(new URL('/metrics', apiUrl))).text()
  return text
    .split('\n')
    .map((line) => /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [])
    .filter(([, found, all = '']) => found === name && labels.every((label) => all.includes(label)))
    .reduce((sum, [, , , value]) => sum + Number(value), 0)
}
