// vitest's globalSetup where files run side by side: dist/ is up to date before any of them starts it, so
// that none writes there what another one reads.

import { build } from './executable.ts'

export default build
