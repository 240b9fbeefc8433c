#!/usr/bin/env node
// The executable: hands the process's arguments and streams to the command line, and takes its status.

import { basename, isAbsolute, relative } from 'node:path'
import { outside } from './cli/outside.ts'
import { run } from './cli/run.ts'

const operations = async () => (await import('./composition/server.ts')).operations

process.exitCode = await run(process.argv, operations, outside, {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signals: process,
  self: self(process.argv[1] ?? 'pgwarden'),
  exit: (status) => process.exit(status),
})

/** As one would type it in this directory. */
function self(path: string): string {
  if (basename(path) === 'pgwarden') return 'pgwarden'
  const near = relative(process.cwd(), path)
  return `node ${near.startsWith('..') || isAbsolute(near) ? path : near}`
}
