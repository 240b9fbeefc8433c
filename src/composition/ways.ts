// The ways to the targets: for each of them the connections, whoever issues logins to it and whoever looks into
// it, as it is configured now. A target that is configured in another way gets another one; the one before
// stays until the last login that it has issued is taken back. Decides nothing.

import type { Config, TargetConfig } from '../config/config.ts'
import { same } from '../config/same.ts'
import { Connector } from '../upstream/connector.ts'
import { type OpenTarget, openTarget, type Surroundings } from './targets.ts'

export interface Way extends OpenTarget {
  readonly target: TargetConfig
  readonly connector: Connector
}

export type Ways = ReadonlyMap<string, Way>

/**
 * For the targets of a configuration; those of `before` whose way is the same go on. Connects to nothing.
 * @throws Failure when there is no way to a target.
 */
export function waysTo(
  targets: Config['targets'],
  before: Ways,
  surroundings: Omit<Surroundings, 'connector'>,
): Ways {
  return new Map(
    [...targets].map(([name, target]): [string, Way] => {
      const way = before.get(name)
      if (way !== undefined && same(partsOf(way.target), partsOf(target))) return [name, way]
      const connector = new Connector(new Map([[name, target]]), surroundings.clock)
      return [name, { target, connector, ...openTarget(target, { ...surroundings, connector }) }]
    }),
  )
}

/** What of a target says how it is reached and who issues logins: the rest can change and leave the way alone. */
function partsOf(target: TargetConfig): object {
  const { aliases, serverNames, clientCertificate, ...others } = target
  const { limits, applicationName, sessionContext, sensitive, catalog, ...way } = others
  return way
}
