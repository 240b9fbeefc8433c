// What a running pgwarden has counted, as whoever scrapes it reads it.

import type { Warden } from './warden.ts'

/** The value of this series, written as the scrape writes it; 0 where there is none. */
export async function counted({ apiUrl }: Pick<Warden, 'apiUrl'>, series: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', apiUrl))).text()
  const line = text.split('\n').find((each) => each.startsWith(`${series} `))
  return Number(line?.slice(series.length + 1) ?? 0)
}
