// The files are real ones in a directory of their own; the clock is held where expiry is at stake.

import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readCertificate } from '../../src/certificates/files.ts'
import { CertificateWatch } from '../../src/certificates/watch.ts'
import { Failure } from '../../src/errors.ts'
import { certify, type Pair } from '../support/certificates.ts'
import { HeldClock } from '../support/memory-journal.ts'

const day = 86_400_000

let first: Pair
let second: Pair
let directory: string
let files: { certificate: string; key: string; clientCa: string | undefined }
const stops: (() => void)[] = []

beforeAll(async () => {
  first = await certify('first')
  second = await certify('second')
})

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-certificates-'))
  files = {
    certificate: join(directory, 'server.crt'),
    key: join(directory, 'server.key'),
    clientCa: undefined,
  }
  put(first)
})
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  rmSync(directory, { recursive: true })
})

function put({ certificate, key }: Pair): void {
  writeFileSync(files.certificate, certificate)
  writeFileSync(files.key, key)
}

/** A watch that looks all the time, and what it has told. */
async function watched(clock = new HeldClock()) {
  const told: string[] = []
  const watch = await CertificateWatch.start({
    files,
    clock,
    everyMs: 5,
    observer: {
      loaded: () => told.push('loaded'),
      failed: (error) => told.push(error instanceof Failure ? error.message : 'defect'),
      expiring: () => told.push('expiring'),
    },
  })
  stops.push(() => watch.stop())
  const tells = async (line: string, times = 1): Promise<void> => {
    const deadline = Date.now() + 5_000
    while (told.filter((each) => each === line).length < times) {
      if (Date.now() > deadline) throw new Error(`only told ${JSON.stringify(told)}`)
      await sleep(5)
    }
  }
  return { watch, told, tells }
}

describe('the certificate of a listener', () => {
  it('is another one once its files were written over', async () => {
    const { watch, tells } = await watched()
    expect(watch.current.chain).toBe(first.certificate)
    put(second)
    await tells('loaded', 2)
    expect(watch.current.chain).toBe(second.certificate)
    expect(watch.current.key.reveal()).toBe(second.key)
  })

  it('is another one once the link to its directory points elsewhere', async () => {
    for (const [name, pair] of Object.entries({ old: first, new: second })) {
      const inside = mkdtempSync(join(directory, name))
      writeFileSync(join(inside, 'server.crt'), pair.certificate)
      writeFileSync(join(inside, 'server.key'), pair.key)
      symlinkSync(inside, join(directory, name === 'old' ? '..data' : '..data_tmp'))
    }
    files.certificate = join(directory, '..data', 'server.crt')
    files.key = join(directory, '..data', 'server.key')
    const { watch, tells } = await watched()
    expect(watch.current.chain).toBe(first.certificate)
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
    await tells('loaded', 2)
    expect(watch.current.chain).toBe(second.certificate)
  })

  it('stays when the new files cannot be used, which is said once, until they can', async () => {
    const { watch, told, tells } = await watched()
    writeFileSync(files.certificate, second.certificate)
    const mismatch = `listen.tls.key ${files.key} is not the key of listen.tls.certificate ${files.certificate}`
    await tells(mismatch)
    await sleep(50)
    expect(told).toEqual(['loaded', mismatch])
    expect(watch.current.chain).toBe(first.certificate)
    writeFileSync(files.key, second.key)
    await tells('loaded', 2)
    expect(watch.current.chain).toBe(second.certificate)
  })

  it('stays when the files are gone', async () => {
    const { watch, tells } = await watched()
    rmSync(files.key)
    await tells(`cannot read listen.tls.key ${files.key}`)
    expect(watch.current.chain).toBe(first.certificate)
    writeFileSync(files.key, first.key)
    await tells('loaded', 2)
  })

  it('is not read again for nothing', async () => {
    const { watch, told } = await watched()
    const before = watch.current
    await sleep(50)
    expect(told).toEqual(['loaded'])
    expect(watch.current).toBe(before)
  })

  it('is told to expire from fourteen days before, once a day', async () => {
    const clock = new HeldClock()
    put(await certify('short', { notAfter: new Date(clock.now() + 15 * day) }))
    const { told, tells } = await watched(clock)
    await sleep(30)
    expect(told).toEqual(['loaded'])
    clock.wall += 1.5 * day
    await tells('expiring')
    await sleep(30)
    expect(told).toEqual(['loaded', 'expiring'])
    clock.wall += 1.1 * day
    await tells('expiring', 2)
  })
})

describe('files that cannot be used', () => {
  it.each([
    ['certificate', 'no certificate', 'Expected certificates in PEM.'],
    ['key', 'no key', 'Expected a private key in PEM, without a passphrase.'],
    ['clientCa', '', 'Expected certificates in PEM.'],
  ] as const)('are named: %s', async (what, text, hint) => {
    files.clientCa = files.certificate
    const path = join(directory, 'broken')
    writeFileSync(path, text)
    await expect(readCertificate({ ...files, [what]: path })).rejects.toMatchObject({
      code: 'invalid_configuration',
      message: `listen.tls.${what} ${path} cannot be used`,
      hint,
    })
  })

  it('do not show the key in what is said about it', async () => {
    writeFileSync(files.key, first.key.replace(/.{20}\n/, '\n'))
    const failure: unknown = await readCertificate(files).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Failure)
    const middle = first.key.split('\n')[1]?.slice(0, 20) ?? 'nothing'
    expect(JSON.stringify([String(failure), failure])).not.toContain(middle)
  })
})
