import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** For the threads that the sources start. */
const execArgv = ['--import', './test/support/typescript-loader.mjs']

/**
 * Files of test/integration that mostly wait, the longest first: they run side by side. Such a file looks
 * at nothing that the whole server has in common but what it named itself, measures no memory, and
 * takes no offence at a neighbour.
 */
const waiting = [
  'endings',
  'vault-killed',
  'workers',
  'monitoring',
  'rolling-restart',
  'evasions-directly',
  'vault-sessions',
  'cancel',
  'access-path',
  'demo-process',
  'revoke',
  'vault-outage',
  'vault-revoke',
  'stale-catalog',
  'upstream-servers',
  'sinks',
  'journal-disk-full',
  'evasion-sequences',
  'vault-document',
  'reload',
  'drain',
  'asynchronous',
  'audit-reading',
  'audit-secrets',
  'lost-store',
  'grant-end',
  'access-decisions',
  'upstream-session',
  'sink-servers',
  'sink-receivers',
  'sink-rsyslog',
  'checkpoints',
  'session-registry',
  'vault-client',
  'proxy-protocol',
  'limits',
  'metrics',
  'log',
  'scram',
  'access-document',
  'session-context',
].map((name) => `test/integration/${name}.test.ts`)

/** vitest's own order, but for those: the longest of them is as long as all together are to take. */
class LongestWaitFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number =>
      waiting.findIndex((name) => moduleId.endsWith(name))
    const sorted = await super.sort(files)
    return sorted.toSorted((one, other) => place(one) - place(other))
  }
}

const integration = {
  execArgv,
  globalSetup: ['test/support/database.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestWaitFirst },
    projects: [
      {
        test: {
          name: 'unit',
          execArgv,
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/conformance/**'],
          setupFiles: ['test/support/no-network.ts'],
          // On two cores, with neighbours, what takes one second may take ten.
          testTimeout: 20_000,
        },
      },
      {
        test: {
          ...integration,
          name: 'integration-waiting',
          include: waiting,
          globalSetup: [...integration.globalSetup, 'test/support/built.ts'],
          maxWorkers: 4,
          // Beside nobody else: after the unit tests, before the other integration tests.
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...integration,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...waiting],
          // Two cores, and a server that some look at as a whole: files run one after another.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'conformance',
          execArgv,
          include: ['test/conformance/*.test.ts'],
          testTimeout: 60_000,
          // One client's four runs.
          hookTimeout: 720_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
