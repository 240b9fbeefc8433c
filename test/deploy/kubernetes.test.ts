// deploy/kubernetes against Kubernetes' own schemas and against pgwarden's reading of the configurations in it.
// Ignorant of what kustomize makes of the patches.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import {
  at,
  deployedConfig,
  documents,
  filesBelow,
  isPinned,
  keyed,
  listAt,
  mountedFiles,
} from '../support/manifests.ts'

const root = 'deploy/kubernetes'
const files = filesBelow(root, '.yaml')
const configurations = files.filter((file) => file.endsWith('/pgwarden.yaml'))

const isCustomization = (document: unknown): boolean =>
  /^(Kustomization|Component)$/.test(String(keyed(document)['kind']))
const objects = files
  .filter((file) => !configurations.includes(file) && !file.endsWith('/network.yaml'))
  .flatMap((file) => documents(file).map((document) => ({ file, document })))

const published = keyed(JSON.parse(readFileSync('test/fixtures/schemas/kubernetes.json', 'utf8')))
const ajv = new Ajv2020({ strict: false, formats: { 'int-or-string': true } })
ajv.addFormat('int32', true).addFormat('int64', true).addFormat('date-time', true)
ajv.addFormat('byte', true).addFormat('double', true)
ajv.addSchema({ $id: 'kubernetes', ...published })

/** What Kubernetes would say against it. */
function objections(object: unknown): unknown {
  const { apiVersion, kind } = keyed(object)
  const name = encodeURIComponent(`${apiVersion} ${kind}`.replaceAll('/', '~1'))
  const valid = ajv.validate({ $ref: `kubernetes#/kinds/${name}` }, object)
  return valid ? [] : ajv.errors
}

describe('each object', () => {
  const plain = objects.filter(({ document }) => !isCustomization(document))

  it.each(plain.map(({ file, document }) => [file, document]))(
    'of %s has the shape that Kubernetes has published',
    (_, document) => {
      expect(objections(document)).toEqual([])
    },
  )

  it('with a word that Kubernetes does not know is found', () => {
    const [set] = documents(`${root}/base/statefulset.yaml`)
    const misspelt = { ...keyed(set), spec: { ...keyed(at(set, 'spec')), replica: 2 } }
    expect(objections(misspelt)).not.toEqual([])
  })
})

it('every file that a kustomization names is there, and every file is named', () => {
  const named = objects
    .filter(({ document }) => isCustomization(document))
    .flatMap(({ file, document }) => {
      const {
        resources = [],
        components = [],
        patches = [],
        configMapGenerator = [],
      } = keyed(document)
      const names = [
        ...[resources, components].flat(),
        ...[patches].flat().map((patch) => keyed(patch)['path']),
        ...[configMapGenerator].flat().flatMap((map) => listAt(map, 'files')),
      ]
      return names
        .filter((name) => name !== undefined)
        .map((name) => join(dirname(file), String(name)))
    })
  for (const name of named) expect([name, existsSync(name)]).toEqual([name, true])
  const alone = files.filter(
    (file) => !file.endsWith('/kustomization.yaml') && !named.includes(file),
  )
  expect(alone).toEqual([])
})

it('an image has a version', () => {
  const images = objects.flatMap(({ document }) => [keyed(document)['images'] ?? []].flat())
  expect(images).toHaveLength(2)
  for (const image of images) {
    expect(isPinned(`${at(image, 'name')}:${at(image, 'newTag')}`)).toBe(true)
  }
})

const [set] = documents(`${root}/base/statefulset.yaml`)
const pod = at(set, 'spec', 'template', 'spec')
const container = at(pod, 'containers', 0)

describe('a pod', () => {
  it('keeps to the pod security standard "restricted", and writes to its volume alone', () => {
    expect(at(pod, 'securityContext')).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(at(container, 'securityContext')).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const written = listAt(container, 'volumeMounts').filter(
      (mount) => keyed(mount)['readOnly'] !== true,
    )
    expect(written).toEqual([{ name: 'journal', mountPath: '/var/lib/pgwarden' }])
  })

  it('gets no token of the cluster', () => {
    expect(at(pod, 'automountServiceAccountToken')).toBe(false)
    const [account] = documents(`${root}/base/service-account.yaml`)
    expect(at(account, 'automountServiceAccountToken')).toBe(false)
  })

  it('keeps its journal when the set is scaled down or deleted', () => {
    expect(at(set, 'spec', 'persistentVolumeClaimRetentionPolicy')).toEqual({
      whenDeleted: 'Retain',
      whenScaled: 'Retain',
    })
  })
})

describe.each(configurations)('%s', (file) => {
  it('is a configuration that pgwarden takes', async () => {
    expect((await deployedConfig(file)).targets.size).toBe(1)
  })

  it('listens on the ports that the pod and its services name', async () => {
    const { listen, http } = await deployedConfig(file)
    const ports = listAt(container, 'ports').map((port) => at(port, 'containerPort'))
    expect([listen[0].port, http.port, http.metrics.port]).toEqual(ports)
    const services = documents(`${root}/base/services.yaml`)
    for (const port of services.flatMap((service) => listAt(service, 'spec', 'ports'))) {
      const names = listAt(container, 'ports').map((one) => at(one, 'name'))
      expect(names).toContain(at(port, 'targetPort'))
    }
    expect(listen[0].address).toBe('0.0.0.0')
    expect(http.tls).toBeDefined()
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      expect(at(container, name, 'httpGet')).toMatchObject({ port: 'api', scheme: 'HTTPS' })
    }
  })

  it('drains in less time than the pod is given', async () => {
    const { shutdown } = await deployedConfig(file)
    const given = Number(at(pod, 'terminationGracePeriodSeconds')) * 1000
    expect(shutdown.delayMs + shutdown.drainTimeoutMs + 30_000).toBeLessThanOrEqual(given)
  })

  it('names files in the places where the pod mounts secrets, and writes to its volume', async () => {
    const { journal } = await deployedConfig(file)
    expect(journal.directory).toBe('/var/lib/pgwarden/journal')
    const [component] = documents(`${root}/components/vault-auth/kustomization.yaml`)
    const mounts = listAt(container, 'volumeMounts').map((mount) => String(at(mount, 'mountPath')))
    if (file.includes('overlays')) mounts.push('/run/secrets/vault')
    expect(String(at(component, 'patches', 0, 'patch'))).toContain('mountPath: /run/secrets/vault')
    for (const name of mountedFiles(file)) expect(mounts).toContain(dirname(name))
  })
})

it('a client may connect to the two ports alone, and Prometheus to the third', () => {
  const [policy] = documents(`${root}/base/network-policy.yaml`)
  const open = listAt(policy, 'spec', 'ingress').map((rule) => ({
    from: at(rule, 'from', 0, 'namespaceSelector', 'matchLabels'),
    ports: listAt(rule, 'ports').map((port) => at(port, 'port')),
  }))
  expect(open).toEqual([
    { from: { 'pgwarden/clients': 'allowed' }, ports: ['postgresql', 'api'] },
    { from: { 'kubernetes.io/metadata.name': 'monitoring' }, ports: ['metrics'] },
  ])
})

it('the load balancer that the example believes may connect', async () => {
  const example = `${root}/overlays/example`
  const { listen } = await deployedConfig(`${example}/pgwarden.yaml`)
  const [added] = documents(`${example}/network.yaml`)
  const letIn = [added]
    .flat()
    .filter((operation) => at(operation, 'path') === '/spec/ingress/-')
    .map((operation) => at(operation, 'value', 'from', 0, 'ipBlock', 'cidr'))
  expect(letIn).toEqual(listen[0].proxyProtocolFrom)
})
