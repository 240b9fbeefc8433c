// Rows under headings, in columns as wide as what is in them. Ignorant of what it shows.

import { printable, type Style } from './terminal.ts'

export interface Column<T> {
  readonly heading: string
  readonly text: (row: T) => string
  readonly colour?: (row: T) => Parameters<Style>[0] | undefined
}

/** With a line end. What strangers wrote cannot act on the terminal. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], style: Style): string {
  const shown = columns.map(({ heading, text, colour }) => {
    const texts = rows.map((row) => printable(text(row)))
    const width = Math.max(heading.length, ...texts.map(({ length }) => length))
    const head = style('bold', heading.padEnd(width))
    const cells = rows.map((row, at) => {
      const padded = (texts[at] ?? '').padEnd(width)
      const chosen = colour?.(row)
      return chosen === undefined ? padded : style(chosen, padded)
    })
    return [head, ...cells]
  })
  const lines = [undefined, ...rows].map((_, at) =>
    shown.map((cells) => cells[at] ?? '').join('  '),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}
