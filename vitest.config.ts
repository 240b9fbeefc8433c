import { defineConfig } from 'vitest/config'

/** For the threads that the sources start. */
const execArgv = ['--import', './test/support/typescript-loader.mjs']

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          execArgv,
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/conformance/**'],
          setupFiles: ['test/support/no-network.ts'],
        },
      },
      {
        test: {
          name: 'integration',
          execArgv,
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/database.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // One PostgreSQL for all files, and two cores: files run one after another.
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
