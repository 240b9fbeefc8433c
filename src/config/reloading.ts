// Which settings take effect while pgwarden runs, and which wait for a restart: said once, here. What is not
// listed waits: a new setting is not half applied because nobody has thought of it. Ignorant of how a
// setting takes effect (composition/reload.ts).

import type { Config } from './config.ts'
import type { Difference, Settings } from './differences.ts'

/** With all that is below them. docs/operations.md lists the same. */
export const reloadedSettings = [
  'access',
  'audit.roles',
  'audit.statements',
  'limits',
  'log.level',
  'logins',
  'notifications',
  'roles',
  'sessionContext',
  'targets',
  'tokens',
] as const

/**
 * What pgwarden runs on when it was started with one configuration and is told to go by another: of the
 * latter what can be reloaded, of the former the rest.
 */
export function inForce(started: Config, wanted: Config): Config {
  return {
    ...started,
    sha256: wanted.sha256,
    source: wanted.source,
    access: wanted.access,
    audit: { ...started.audit, recording: wanted.audit.recording },
    limits: wanted.limits,
    log: { ...started.log, level: wanted.log.level },
    logins: wanted.logins,
    notifications: wanted.notifications,
    roles: wanted.roles,
    targets: wanted.targets,
    tokens: wanted.tokens,
  }
}

export interface Reloadable {
  /** Takes effect now. */
  readonly changes: readonly Difference[]
  /** Paths of what takes effect with the next start. */
  readonly restart: readonly string[]
}

/** `started`: what this run was started with. `before`: what was read last. */
export function reloadable(started: Settings, before: Settings, wanted: Settings): Reloadable {
  return {
    changes: wanted.differencesFrom(before).filter(({ path }) => isReloaded(path)),
    restart: wanted
      .differencesFrom(started)
      .map(({ path }) => path)
      .filter((path) => !isReloaded(path)),
  }
}

export function isReloaded(path: string): boolean {
  return reloadedSettings.some((one) => path === one || path.startsWith(`${one}.`))
}
