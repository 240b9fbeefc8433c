// What operators do to API keys on the command line: make, list, revoke. As with grants (operator.ts), each is
// a process of its own that writes into the store and into the operators' chain of the journal.

import { type ApiKey, newApiKey } from '../access/api-key.ts'
import { transact } from '../access/ledger.ts'
import type { KeyRequest, ListedKeys, NewKey } from '../cli/operations.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { Failure } from '../errors.ts'
import { ledger, withStore } from './operator.ts'
import { operator } from './operator-journal.ts'

const clock = systemClock
/** More than a person reads. */
const mostListed = 1_000

/** @throws Failure invalid_parameter */
export async function createKey(
  config: Config,
  request: Omit<KeyRequest, 'configFile'>,
): Promise<NewKey> {
  const { forMs, ...terms } = request
  assertOwnName(config, terms)
  const { record: key, text } = newApiKey({ ...terms, durationMs: forMs }, clock.now())
  const { id: keyId, principal, kind, groups, scopes, claims, expiresAt } = key
  await withStore(config, (store) =>
    transact(ledger(config, store), async (transaction) => {
      await transaction.insertApiKey(key)
      const made = { keyId, principal, kind, groups, scopes, claims, expiresAt, by: operator() }
      return { result: undefined, changes: [{ type: 'key.created', ...made }] }
    }),
  )
  return { id: keyId, text, expiresAt }
}

export function listKeys(config: Config, all: boolean): Promise<ListedKeys> {
  return withStore(config, async (store) => {
    const found = await store.listApiKeys({ now: clock.now(), all, limit: mostListed + 1 })
    return { keys: found.slice(0, mostListed), more: found.length > mostListed }
  })
}

/** @throws Failure not_found; invalid_parameter when it is over already. */
export function revokeKey(config: Config, id: string): Promise<ApiKey> {
  return withStore(config, async (store) => {
    const revoked = await transact(ledger(config, store), async (transaction) => {
      const result = await transaction.revokeApiKey(id, clock.now())
      if (result === undefined) return { result, changes: [] }
      const change = { keyId: id, principal: result.principal, by: operator() }
      return { result, changes: [{ type: 'key.revoked', ...change }] }
    })
    if (revoked === undefined) throw nothingToRevoke(id, await store.findApiKey(id))
    return revoked
  })
}

/**
 * Grants go by the principal's name, whatever it proved itself with: a program that is called as a person is
 * would have that person's. The names of services are kept apart by what they begin with.
 */
function assertOwnName(
  { identity: { oidc } }: Config,
  { principal, kind }: Pick<KeyRequest, 'principal' | 'kind'>,
): void {
  if (oidc === undefined || principal.startsWith(oidc.servicePrefix) === (kind === 'service')) {
    return
  }
  const prefix = oidc.servicePrefix
  throw new Failure('invalid_parameter', {
    message:
      kind === 'service'
        ? `the name of a service begins with "${prefix}"`
        : `no person's name begins with "${prefix}"`,
    detail:
      'Names of people come from the identity provider, and could be the same as a service’s otherwise.',
    hint: `The configuration says so, in identity.oidc.servicePrefix.`,
  })
}

function nothingToRevoke(id: string, key: ApiKey | undefined): Failure {
  const hint = 'See them with: pgwarden key list --config FILE'
  return key?.revokedAt === undefined
    ? new Failure('not_found', { message: `there is no API key "${id}"`, hint })
    : new Failure('invalid_parameter', {
        message: `API key ${id} was revoked at ${new Date(key.revokedAt).toISOString()} already`,
        hint,
      })
}
