// The Dockerfile and what is let into its build, as they are written. That its steps can be done is for
// image-rehearsal.test.ts.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readStages, saying } from '../support/dockerfile.ts'
import { isPinned } from '../support/manifests.ts'

const [build, image] = readStages('Dockerfile')
if (build === undefined || image === undefined) throw new Error('the Dockerfile has two stages')

const allowed = readFileSync('.dockerignore', 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))

describe('the build', () => {
  it('sees the sources and the lock file: no test, no secret, no history', () => {
    expect(allowed[0]).toBe('*')
    const seen = allowed.slice(1).map((line) => line.replace(/^!/, ''))
    expect(seen.toSorted()).toEqual([
      '.npmrc',
      'package-lock.json',
      'package.json',
      'src',
      'tsconfig.build.json',
      'tsconfig.json',
    ])
    for (const copy of saying(build, 'COPY')) {
      for (const source of copy.split(' ').slice(0, -1)) expect(seen).toContain(join(source))
    }
  })

  it("installs the lock file's packages, and runs none of their scripts", () => {
    const installs = saying(build, 'RUN').filter((line) => /npm (ci|install|i|prune)\b/.test(line))
    expect(installs).toHaveLength(2)
    for (const line of installs) {
      expect(line).toMatch(/npm (ci|prune) /)
      expect(line).toContain('--ignore-scripts')
      expect(line).toContain('--omit=optional')
    }
    expect(installs.at(-1)).toContain('npm prune --omit=dev')
  })

  it('begins with a version of Node.js that is written down', () => {
    expect(isPinned(build.from)).toBe(true)
    // Its tags move; README and the file itself say how the digest is given.
    expect(image.from).toBe('gcr.io/distroless/nodejs22-debian12:nonroot')
  })
})

describe('the image', () => {
  it('takes nothing but the program, its packages and an empty directory for its state', () => {
    expect(saying(image, 'ADD')).toEqual([])
    expect(saying(image, 'RUN')).toEqual([])
    expect(saying(image, 'COPY')).toEqual([
      '--from=build /app/package.json ./',
      '--from=build /app/node_modules ./node_modules',
      '--from=build /app/dist ./dist',
      '--from=build --chown=65532:65532 /app/state/ /var/lib/',
    ])
  })

  it('runs as an account that is a number and not root', () => {
    expect(saying(image, 'USER')).toEqual(['65532:65532'])
  })

  it('is stopped by the signal that drains, and started without a shell', () => {
    expect(saying(image, 'STOPSIGNAL')).toEqual(['SIGTERM'])
    for (const name of ['ENTRYPOINT', 'CMD']) {
      const [words = ''] = saying(image, name)
      expect(JSON.parse(words)).toEqual(expect.any(Array))
    }
    const [health = ''] = saying(image, 'HEALTHCHECK')
    expect(JSON.parse(health.slice(health.indexOf('[')))).toEqual(expect.any(Array))
  })

  it('has no secret among its variables and arguments', () => {
    const named = [...saying(image, 'ENV'), ...saying(image, 'ARG'), ...saying(build, 'ARG')]
    expect(named.join(' ')).not.toMatch(/password|secret|token|key/i)
  })
})
