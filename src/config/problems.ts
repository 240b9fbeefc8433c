// What is wrong with a configuration, said so that an editor can jump to it:
// `pgwarden.yaml:12:5: targets.shop.port: expected a number between 1 and 65535`.
// Ignorant of what is right.

import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type LineCounter,
  type Pair,
  visit,
  type YAMLMap,
} from 'yaml'
import type { z } from 'zod'
import { Failure } from '../errors.ts'

type Path = readonly PropertyKey[]

export interface Problem {
  readonly path: Path
  readonly message: string
  /** Whether the key itself is wrong, rather than what stands behind it. */
  readonly atKey?: boolean
  /** Whether the key is not to be printed. */
  readonly hidden?: boolean
}

/** A YAML text that can say where in it something stands. */
export interface Source {
  readonly fileName: string
  readonly document: Document
  readonly lines: LineCounter
}

/** The issues of a schema, one problem for each thing to correct. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], source: Source): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = asWritten(issue.path, source.document)
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => unknownKey([...path, key], source))
      case 'invalid_key':
        return [{ path, message: issue.issues[0]?.message ?? issue.message, atKey: true }]
      default: {
        const missing = locate(source.document, path).node === undefined
        return [{ path, message: missing ? `missing: ${issue.message}` : issue.message }]
      }
    }
  })
}

/** Without its blank, `{ password:secret }` is a key and no value: then the place has to do. */
function unknownKey(path: Path, { document }: Source): Problem {
  const { node } = locate(document, path)
  const isEmpty = node === null || (isScalar(node) && node.value === null)
  const looksLikeOne = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/.test(String(path.at(-1)))
  if (looksLikeOne && !isEmpty) return { path, message: 'unknown key', atKey: true }
  const message =
    'unknown key, which is not shown: it may be a value (is there a blank behind each colon?)'
  return { path, message, atKey: true, hidden: true }
}

/** The path as the file has it: one may stand there for a list of one, a text for a mapping of one key. */
function asWritten(path: Path, document: Document): Path {
  const written: PropertyKey[] = []
  for (const step of path) {
    const { node } = locate(document, written)
    if (typeof step === 'number' ? isSeq(node) : !isScalar(node)) written.push(step)
  }
  return written
}

/** All problems at once: nobody wants to correct a file one error a run. */
export function invalid(source: Source, problems: readonly Problem[]): Failure {
  const lines = [...new Set(problems.map((problem) => describe(source, problem)))]
  const [first = '', second] = lines
  return new Failure(
    'invalid_configuration',
    second === undefined
      ? { message: first }
      : { message: `${lines.length} problems in ${source.fileName}`, detail: lines.join('\n') },
  )
}

/** `file:line:column: `, the beginning of every message. */
function place(source: Source, offset: number): string {
  const { line, col } = source.lines.linePos(offset)
  return `${source.fileName}:${Math.max(line, 1)}:${Math.max(col, 1)}: `
}

/** A problem of the text itself, without what the parser quotes of it: `password: *secret` is an alias to it. */
export function unparsable(source: Source, offset: number, message: string): Failure {
  const said = message.replace(/(?<=\S): .*|\s*\\.*/s, '')
  return new Failure('invalid_configuration', { message: `${place(source, offset)}${said}` })
}

/** Where an alias is of which there is no anchor. */
export function danglingAlias({ document }: Source): number {
  let offset = 0
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return undefined
      offset = alias.range?.[0] ?? 0
      return visit.BREAK
    },
  })
  return offset
}

function describe(
  source: Source,
  { path, message, atKey = false, hidden = false }: Problem,
): string {
  const name = (hidden ? path.slice(0, -1) : path).map(String).join('.')
  const where = place(source, locate(source.document, path, atKey).offset)
  return `${where}${name === '' ? '' : `${name}: `}${message}`
}

/** What stands at `path` and where; or nothing, and where the nearest key above it is. */
function locate(
  document: Document,
  path: Path,
  atKey = false,
): { readonly offset: number; readonly node: unknown } {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [depth, step] of path.entries()) {
    const container = resolved(node, document)
    if (isMap(container)) {
      const pair = pairOf(container, step, document)
      if (pair === undefined) return { offset, node: undefined }
      const key = startOf(pair.key) ?? offset
      const last = depth === path.length - 1
      node = pair.value
      // For what is missing further down, the key it should stand under is the best place to look.
      offset = last && !atKey ? (startOf(node) ?? key) : key
    } else if (isSeq(container) && typeof step === 'number' && step < container.items.length) {
      node = container.items[step]
      offset = startOf(node) ?? offset
    } else {
      return { offset, node: undefined }
    }
  }
  return { offset, node: resolved(node, document) ?? null }
}

/** The pair of this key: the mapping's own, or one of a mapping that is merged into it (`<<: *anchor`). */
function pairOf(map: YAMLMap, name: PropertyKey, document: Document): Pair | undefined {
  const own = map.items.find(({ key }) => isScalar(key) && String(key.value) === name)
  if (own !== undefined) return own
  for (const { key, value } of map.items) {
    // The parser turns a merge key into a symbol, so that "<<" in quotes is a key like any other.
    if (!isScalar(key) || typeof key.value !== 'symbol') continue
    for (const source of isSeq(value) ? value.items : [value]) {
      const merged = resolved(source, document)
      const pair = isMap(merged) ? pairOf(merged, name, document) : undefined
      if (pair !== undefined) return pair
    }
  }
  return undefined
}

function resolved(node: unknown, document: Document): unknown {
  return isAlias(node) ? node.resolve(document) : node
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined
}
