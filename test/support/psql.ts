// The real psql, where this machine has one.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Its full path; undefined where it is not installed. */
export function findPsql(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, 'psql')).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
