// deploy/compose.yaml against the Compose Specification's schema, and the files that it mounts. What the scripts
// do to a real PostgreSQL and a real Vault is in test/integration/compose.test.ts.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, describe, expect, it } from 'vitest'
import { namedBlocks } from '../support/document.ts'
import {
  at,
  deployedConfig,
  documents,
  isPinned,
  keyed,
  listAt,
  mountedFiles,
} from '../support/manifests.ts'

const configuration = 'deploy/compose/pgwarden.yaml'
const [project] = documents('deploy/compose.yaml')
const services = Object.entries(keyed(at(project, 'services'))).map(([name, service]) => ({
  name,
  service: keyed(service),
}))
const scratch = mkdtempSync(join(tmpdir(), 'pgwarden-compose-'))

afterAll(() => rmSync(scratch, { recursive: true }))

it('has the shape that the Compose Specification has published', () => {
  const schema = keyed(JSON.parse(readFileSync('test/fixtures/schemas/compose-spec.json', 'utf8')))
  const ajv = new Ajv2020({ strict: false })
  addFormats.default(ajv)
  expect(ajv.validate(schema, project) ? [] : ajv.errors).toEqual([])
  expect(ajv.validate(schema, { services: { pgwarden: { imagine: 'x' } } })).toBe(false)
})

describe.each(services)('$name', ({ name, service }) => {
  it('has an image with a version, no rights, and nothing to write on but volumes', () => {
    expect(isPinned(String(service['image']))).toBe(true)
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
  })

  it('publishes ports to this machine alone', () => {
    for (const port of [service['ports'] ?? []].flat()) {
      expect(port).toMatch(/^127\.0\.0\.1:/)
    }
  })

  it('says when it is well, and is waited for', () => {
    // The proxy's check is in its image; the one-shot ends.
    const own = !['pgwarden', 'vault-setup'].includes(name)
    expect('healthcheck' in service).toBe(own)
    for (const condition of Object.values(keyed(service['depends_on'] ?? {}))) {
      expect(at(condition, 'condition')).toMatch(/^service_(healthy|completed_successfully)$/)
    }
  })

  it('mounts files that are there', () => {
    for (const volume of [service['volumes'] ?? []].flat()) {
      const [source = ''] = String(volume).split(':')
      const there = source.startsWith('.')
        ? existsSync(join('deploy', source))
        : at(project, 'volumes', source)
      expect([source, Boolean(there)]).toEqual([source, true])
    }
  })

  it('has secrets as files, and none in its environment', () => {
    for (const [key, value] of Object.entries(keyed(service['environment'] ?? {}))) {
      if (/PASSWORD|TOKEN|SECRET/.test(key)) expect(value).toMatch(/^\/run\/secrets\//)
    }
  })
})

it('prepare.sh makes every secret that a service gets, once, behind a directory for its owner alone', () => {
  cpSync('deploy/compose', join(scratch, 'compose'), { recursive: true })
  const prepare = (): void => {
    execFileSync(join(scratch, 'compose', 'prepare.sh'), { stdio: 'ignore' })
  }
  prepare()
  const made = join(scratch, 'compose', 'secrets')
  expect(statSync(made).mode & 0o777).toBe(0o700)
  const before = readdirSync(made).map((name) => readFileSync(join(made, name), 'utf8'))
  for (const [name, secret] of Object.entries(keyed(at(project, 'secrets')))) {
    expect(at(secret, 'file')).toBe(`compose/secrets/${name}`)
    expect(readFileSync(join(made, name), 'utf8')).not.toBe('')
  }
  chmodSync(made, 0o755)
  prepare()
  expect(statSync(made).mode & 0o777).toBe(0o700)
  expect(readdirSync(made).map((name) => readFileSync(join(made, name), 'utf8'))).toEqual(before)
})

describe(configuration, () => {
  it('is a configuration that pgwarden takes', async () => {
    expect((await deployedConfig(configuration)).targets.size).toBe(1)
  })

  it('names the secrets that the service gets', () => {
    const given = listAt(project, 'services', 'pgwarden', 'secrets')
    const volumes = listAt(project, 'services', 'pgwarden', 'volumes').map(String)
    expect(volumes.some((volume) => volume.includes(':/run/secrets/vault-login:'))).toBe(true)
    for (const file of mountedFiles(configuration)) {
      if (!file.startsWith('/run/secrets/vault-login/')) expect(given).toContain(basename(file))
    }
  })

  it('drains in less time than Compose gives it', async () => {
    const { shutdown } = await deployedConfig(configuration)
    const seconds = Number.parseInt(
      String(at(project, 'services', 'pgwarden', 'stop_grace_period')),
      10,
    )
    expect(shutdown.delayMs + shutdown.drainTimeoutMs + 30_000).toBeLessThanOrEqual(seconds * 1000)
  })

  it('listens where Compose and Prometheus look for it', async () => {
    const { listen, http } = await deployedConfig(configuration)
    expect(listAt(project, 'services', 'pgwarden', 'ports')).toEqual([
      `127.0.0.1:${listen[0].port}:${listen[0].port}`,
      `127.0.0.1:${http.port}:${http.port}`,
    ])
    const [scraped] = documents('deploy/compose/prometheus.yaml')
    const targets = listAt(scraped, 'scrape_configs', 0, 'static_configs', 0, 'targets')
    expect(targets).toEqual([`pgwarden:${http.metrics.port}`])
  })
})

it('what Vault is told is what docs/vault.md says', async () => {
  const blocks = await namedBlocks('docs/vault.md')
  const files = readdirSync('deploy/compose/vault').filter((name) => name !== 'setup.sh')
  expect(files).toHaveLength(6)
  for (const name of files) {
    expect(readFileSync(join('deploy/compose/vault', name), 'utf8')).toBe(blocks.get(name))
  }
})
