// The records of a configuration that is read while pgwarden runs: what is another in it and who wanted that,
// from where on it holds, or why it does not. Bounded, and without secrets, of which nothing comes here.
// Ignorant of settings.

import { fitting, nameLimit, quote, quoteWithin } from './json.ts'

/** A setting that is another, as the file has it; undefined: not written, so that the default holds. */
interface SettingChange {
  readonly path: string
  readonly from: string | undefined
  readonly to: string | undefined
}

export interface ConfigReload {
  /** A principal, or `SIGHUP`. */
  readonly by: string
  /** Of the file that was read before, and of this one. */
  readonly sha256: { readonly before: string; readonly after: string }
  readonly changes: readonly SettingChange[]
  /** Paths of settings that wait for a restart. */
  readonly restart: readonly string[]
}

const mostChanges = 200
const mostPaths = 200
/** Of all of them in a record. */
const changesBytes = 40 * 1024
const pathsBytes = 16 * 1024
const problemLimit = 4_096

/** Before it has an effect. */
export function configReloadRecord({ by, sha256, changes, restart }: ConfigReload): string {
  const told = fitting(changes.slice(0, mostChanges).map(changeJson), changesBytes)
  const paths = restart.slice(0, mostPaths).map((path) => quoteWithin(path, nameLimit))
  const waiting = fitting(paths, pathsBytes)
  return [
    `"type":"config.reload","by":${quoteWithin(by, nameLimit)}`,
    `"before":${quote(sha256.before)},"after":${quote(sha256.after)}`,
    `"changes":[${told.join(',')}]`,
    ...(told.length < changes.length ? [`"changeCount":${changes.length}`] : []),
    `"restart":[${waiting.join(',')}]`,
    ...(waiting.length < restart.length ? [`"restartCount":${restart.length}`] : []),
  ].join(',')
}

/** What stands behind it in the chain was decided by that configuration. */
export function configAppliedRecord(sha256: string): string {
  return `"type":"config.applied","configuration":${quote(sha256)}`
}

/** `problem` is what is wrong with it, for people. */
export function configRejectedRecord(by: string, problem: string): string {
  return (
    `"type":"config.rejected","by":${quoteWithin(by, nameLimit)}` +
    `,"problem":${quoteWithin(problem, problemLimit)}`
  )
}

function changeJson({ path, from, to }: SettingChange): string {
  const field = (name: string, text: string | undefined): string =>
    text === undefined ? '' : `,"${name}":${quoteWithin(text, nameLimit)}`
  return `{"path":${quoteWithin(path, nameLimit)}${field('from', from)}${field('to', to)}}`
}
