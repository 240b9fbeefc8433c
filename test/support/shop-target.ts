// What the configuration says of a target and of a crowd in tests of one part: as little as it can.

import { shortest } from '../../src/policy/permissions.ts'
import type { CrowdLimits, Target } from '../../src/proxy/ports.ts'

export const unlimited = shortest([])

export const uncrowded: CrowdLimits = {
  sessionsPerPrincipal: undefined,
  sessionsPerGrant: undefined,
  loginsPerSecond: undefined,
}

export const shop: Target = {
  name: 'shop',
  database: 'db',
  aliases: [],
  serverNames: [],
  clientCertificate: 'none',
  limits: unlimited,
  applicationName: [],
  sessionContext: new Map(),
  servers: [{ host: 'db', port: 5432 }],
  sensitive: [],
}
