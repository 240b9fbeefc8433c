// Files of deploy/, and what is held against them: YAML, published schemas, and pgwarden's own reading of a
// configuration. Ignorant of what a manifest is for.

import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { type Config, parseConfig } from '../../src/config/config.ts'
import { certify } from './certificates.ts'

/** Of all documents in the file. */
export function documents(path: string): readonly unknown[] {
  return parseAllDocuments(readFileSync(path, 'utf8'), { merge: true }).map((document) => {
    const [broken] = document.errors
    if (broken !== undefined) throw broken
    const value: unknown = document.toJS()
    return value
  })
}

/** Below the directory, with it before each. */
export function filesBelow(directory: string, ending = ''): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** As an object; what is none is a mistake of the test's. */
export function keyed(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new Error(`no mapping: ${String(value)}`)
  return { ...value }
}

/** What lies at `path`, which must be there. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((inner, key) => {
    const found = keyed(inner)[key]
    if (found === undefined) throw new Error(`nothing at ${path.join('.')}: ${String(key)}`)
    return found
  }, value)
}

export function listAt(value: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = at(value, ...path)
  if (!Array.isArray(found)) throw new Error(`no list at ${path.join('.')}`)
  return found
}

const inMounts = /\/run\/secrets\/[\w./-]*\w/g

/** As pgwarden reads it, with something in each file that is mounted into the container. */
export async function deployedConfig(path: string): Promise<Config> {
  const text = readFileSync(path, 'utf8')
  const directory = mkdtempSync(join(tmpdir(), 'pgwarden-manifest-'))
  const { certificate, key } = await certify('example.com')
  try {
    const contents = new Map([
      ['crt', certificate],
      ['key', key],
      ['pem', ed25519()],
      ['store-url', 'postgres://a:b@c/d'],
    ])
    for (const file of mountedFiles(path)) {
      mkdirSync(join(directory, dirname(file)), { recursive: true })
      const kind = file.split(/[./]/).at(-1) ?? ''
      writeFileSync(
        join(directory, file),
        contents.get(kind) ?? 'thirty-two-characters-of-a-secret',
      )
    }
    return parseConfig(
      text.replaceAll(inMounts, (file) => join(directory, file)),
      path,
      {},
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function ed25519(): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Each once. */
export function mountedFiles(path: string): readonly string[] {
  return [...new Set(readFileSync(path, 'utf8').match(inMounts) ?? [])].sort()
}

/** Name, tag or digest: never what moves by itself. */
export function isPinned(image: string): boolean {
  return /@sha256:[0-9a-f]{64}$/.test(image) || /:v?\d+\.\d+[\w.-]*$/.test(image)
}
