import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**'],
          setupFiles: ['test/support/no-network.ts'],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/database.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // One PostgreSQL for all files, and two cores: files run one after another.
          fileParallelism: false,
        },
      },
    ],
  },
})
