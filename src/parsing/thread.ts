// The far end of parsing aside: runs in a thread of its own, takes a text and answers with its facts, a
// page at a time. What crosses over are facts, never trees. Ignorant of who asks and of time.

import { parentPort } from 'node:worker_threads'
import { analyse, type Limits, loadParser } from '../sql/analyse.ts'
import type { Analysis, Parsed } from '../sql/facts.ts'

/** `more`: the next page of what was asked for last. */
export type Request =
  | { readonly type: 'analyse'; readonly text: string; readonly limits: Limits }
  | { readonly type: 'more' }

/** Of a text with many statements, the next of them. */
export interface Page {
  readonly analysis: Analysis
  readonly more: boolean
}

/**
 * Statements. Reading a page takes its reader a few milliseconds, in which others wait: a megabyte of
 * small statements in one piece would hold them up for a second.
 */
const pageLength = 500

let rest: Parsed = { type: 'parsed', statements: [], secrets: [] }

async function answer(request: Request): Promise<Page> {
  if (request.type === 'more') return nextPage()
  // A text that broke the parser has taken it along: the next one must find another.
  await loadParser()
  const analysis = analyse(request.text, request.limits)
  if (analysis.type === 'unparsable') return { analysis, more: false }
  rest = analysis
  return nextPage()
}

function nextPage(): Page {
  const analysis = { ...rest, statements: rest.statements.slice(0, pageLength) }
  rest = { ...rest, statements: rest.statements.slice(pageLength) }
  return { analysis, more: rest.statements.length > 0 }
}

// A rejection ends the thread, and the other end hears of it.
parentPort?.on('message', (request: Request) => {
  void answer(request).then((page) => parentPort?.postMessage(page))
})
