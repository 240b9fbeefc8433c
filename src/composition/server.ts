// The composition root, as the command line sees it: each operation with what it needs. Only this directory
// constructs adapters. Decides nothing.

import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { scopes } from '../access/identity.ts'
import { SnapshotReader } from '../catalog/reader.ts'
import { readSnapshotFile, snapshotText } from '../catalog/snapshot-file.ts'
import type { Operations } from '../cli/operations.ts'
import { type Config, loadConfig } from '../config/config.ts'
import { prepareDemo } from '../demo/demo.ts'
import { Catalog } from '../policy/catalog.ts'
import { Policy } from '../policy/policy.ts'
import { predefinedRoles } from '../policy/roles.ts'
import { loadParser } from '../sql/analyse.ts'
import { openLog } from '../telemetry/log.ts'
import { checked } from './checked.ts'
import { publicKeysOf } from './checkpoints.ts'
import { examination } from './examination.ts'
import { issue, listGrants, revoke } from './operator.ts'
import { createKey, listKeys, revokeKey } from './operator-keys.ts'
import { liftLockOut, listLockOuts } from './operator-lockouts.ts'
import { queryJournal, tailJournal } from './operator-reading.ts'
import { configuredTarget, drift, grants, lookingInto } from './privileges.ts'
import { logOf } from './run.ts'
import { serve } from './serving.ts'
import { verifyJournal } from './verify.ts'

/** The statement limit of `policy check` without a configuration: the configuration's default. */
const defaultStatementBytes = 1024 * 1024
const snapshotWithin = 60_000
/** How long what the demo hands out is good. */
const demoMs = 24 * 60 * 60 * 1000

export const operations: Operations = {
  serve: async ({ configFile, stopping, onReady }) => {
    const config = await loadConfig(configFile)
    await serve(config, () => loadConfig(configFile), await logOf(config), stopping, onReady)
  },

  checkConfig: async (file) => {
    await checked(await loadConfig(file))
  },

  doctor: examination,

  issueToken: async (request) => issue(await loadConfig(request.configFile), request),

  listGrants: async ({ configFile, all }) => listGrants(await loadConfig(configFile), all),

  revokeGrant: async (request) => revoke(await loadConfig(request.configFile), request),

  createKey: async ({ configFile, ...request }) => createKey(await loadConfig(configFile), request),

  listKeys: async ({ configFile, all }) => listKeys(await loadConfig(configFile), all),

  revokeKey: async ({ configFile, id }) => revokeKey(await loadConfig(configFile), id),

  listLockOuts: async ({ configFile }) => listLockOuts(await loadConfig(configFile)),

  liftLockOut: async ({ configFile, id }) => liftLockOut(await loadConfig(configFile), id),

  policy: async ({ configFile }) => {
    await loadParser()
    if (configFile === undefined) {
      return new Policy(predefinedRoles, { maxBytes: defaultStatementBytes })
    }
    const { roles, limits } = await loadConfig(configFile)
    return new Policy(roles, { maxBytes: limits.statementBytes })
  },

  catalog: async (file) => Catalog.of(await readSnapshotFile(file)),

  snapshot: async ({ configFile, target }) => snapshot(await loadConfig(configFile), target),

  grants,

  drift,

  verifyJournal,

  publicKeys: async ({ configFile }) => publicKeysOf(await loadConfig(configFile)),

  tailJournal,

  queryJournal,

  demo: async ({ stopping, onReady, ...options }) => {
    const prepared = await prepareDemo(options)
    try {
      const config = await loadConfig(prepared.configFile)
      const file = join(prepared.directory, 'pgwarden.log')
      const log = await openLog({
        ...config.log,
        destination: createWriteStream(file, { flags: 'a', mode: 0o600 }),
      })
      options.onStep('Starting the proxy')
      await serve(
        config,
        () => loadConfig(prepared.configFile),
        log,
        stopping,
        async (running) => {
          const people = []
          for (const { occupation, groups, ...terms } of prepared.people) {
            const { target } = prepared
            const token = await issue(config, { ...terms, target, forMs: demoMs, kind: 'one-time' })
            const { principal } = terms
            const person = { principal, kind: 'person', groups, scopes, claims: {} } as const
            const key = await createKey(config, { ...person, forMs: demoMs })
            people.push({ occupation, role: terms.role, token, key: key.text })
          }
          const { directory, configFile } = prepared
          onReady({ ...running, directory, configFile, people })
        },
      )
    } finally {
      await prepared.stop()
    }
  },
}

/** The text of a snapshot taken now, past any running pgwarden. */
async function snapshot(config: Config, name: string): Promise<string> {
  configuredTarget(config, name)
  return lookingInto(config, async (inspection) => {
    const reader = new SnapshotReader(inspection)
    return snapshotText(await reader.read(name, AbortSignal.timeout(snapshotWithin)))
  })
}
