// The part of the composition root behind `pgwarden policy grants`: looks into a target, past any running
// pgwarden, and hands what is there to the policy. Decides nothing; that these parts fit is proved by the
// compiler, here.

import { readPrivileges } from '../catalog/privileges.ts'
import { SnapshotReader } from '../catalog/reader.ts'
import { systemClock } from '../clock.ts'
import { type Config, loadConfig, type TargetConfig } from '../config/config.ts'
import { unobserved } from '../credentials/vault/observer.ts'
import { openVault } from '../credentials/vault/vault.ts'
import { Failure } from '../errors.ts'
import { Catalog } from '../policy/catalog.ts'
import { type Drift, driftBetween, grantStatements, type Held } from '../policy/grants.ts'
import type { Permissions } from '../policy/permissions.ts'
import { Policy } from '../policy/policy.ts'
import { type Grantables, type Privilege, privilegesFor } from '../policy/privileges.ts'
import { loadParser } from '../sql/analyse.ts'
import { Connector } from '../upstream/connector.ts'
import { openTargets, type Targets } from './targets.ts'

const lookWithin = 60_000

interface Asked {
  readonly configFile: string
  readonly target: string
  readonly role: string
  readonly databaseRole: string | undefined
}

/** Lets `work` look into the targets of a configuration. @throws Failure */
export async function lookingInto<T>(
  config: Config,
  work: (inspection: Targets['inspection']) => Promise<T>,
): Promise<T> {
  await loadParser()
  const connector = new Connector(config.targets, systemClock)
  const vault =
    config.vault && openVault(config.vault, { clock: systemClock, observer: unobserved })
  const surroundings = { connector, vault, clock: systemClock, onProblem: () => undefined }
  const targets = openTargets(config, surroundings)
  try {
    return await work(targets.inspection)
  } finally {
    await targets.close()
    await vault?.stop()
  }
}

/** @throws Failure not_found */
export function configuredTarget(config: Config, name: string): TargetConfig {
  const target = config.targets.get(name)
  if (target !== undefined) return target
  throw new Failure('not_found', {
    message: `there is no target "${name}"`,
    hint: `Choose one of ${[...config.targets.keys()].join(', ')}.`,
  })
}

export async function grants(asked: Asked): Promise<readonly string[]> {
  const { target, may, there, wanted, readOnly } = await compared(asked)
  const placeholder = target.credentials.type === 'vault' ? '"{{name}}"' : '{{name}}'
  const grantee =
    asked.databaseRole === undefined
      ? ({ type: 'template', placeholder } as const)
      : ({ type: 'role', name: asked.databaseRole } as const)
  return grantStatements(wanted, grantee, there, may, readOnly)
}

export async function drift(asked: Asked & { readonly databaseRole: string }): Promise<Drift> {
  const { wanted, readOnly, has } = await compared(asked)
  if (has === undefined) {
    throw new Failure('not_found', {
      message: `there is no database role "${asked.databaseRole}"`,
      hint: 'Make it first, and run what this command prints without --check.',
    })
  }
  return driftBetween(wanted, readOnly, has)
}

interface Comparison {
  readonly target: TargetConfig
  readonly may: Permissions
  readonly there: Grantables
  readonly wanted: readonly Privilege[]
  readonly readOnly: boolean
  readonly has: Held | undefined
}

async function compared({ configFile, target: name, ...asked }: Asked): Promise<Comparison> {
  const config = await loadConfig(configFile)
  const target = configuredTarget(config, name)
  const policy = new Policy(config.roles, { maxBytes: config.limits.statementBytes })
  const { sensitive } = target
  const { may } = policy.restricted(asked.role, { sensitive, context: [], relations: undefined })
  if (may === undefined) {
    throw new Failure('not_found', {
      message: `there is no role "${asked.role}"`,
      hint: `Choose one of ${policy.roles().join(', ')}.`,
    })
  }
  return lookingInto(config, async (inspection) => {
    const signal = AbortSignal.timeout(lookWithin)
    const catalog = Catalog.of(await new SnapshotReader(inspection).read(name, signal))
    const look = inspection.inspect(
      name,
      (query) => readPrivileges(query, asked.databaseRole),
      signal,
    )
    const { there, has } = await look
    const wanted = privilegesFor(may, there, catalog)
    return { target, may, there, wanted, readOnly: policy.role(asked.role)?.readOnly === true, has }
  })
}
