// People and programs of the tests' control plane: the groups they are in, API keys that vouch for them,
// and what they ask of a warden's API. Ignorant of the rules.

import { setTimeout as sleep } from 'node:timers/promises'
import { newApiKey } from '../../src/access/api-key.ts'
import { scopes } from '../../src/access/identity.ts'
import { Api } from '../../src/client/api.ts'
import { Exchange } from '../../src/client/exchange.ts'
import { Secret } from '../../src/secret.ts'
import { insertApiKey } from '../../src/store/api-keys.ts'
import { Database } from '../../src/store/database.ts'
import type { Warden } from './warden.ts'

/** Below `access:`, for the groups that these people are in. */
export const accessLines: readonly string[] = [
  'administrators: [pgwarden-admins]',
  'auditors: [security]',
  'approvers: { manager: [managers], ciso: [security], dba: [dbas] }',
]

interface About {
  readonly groups?: readonly string[]
  readonly kind?: 'person' | 'service'
}

export class Person {
  readonly name: string
  readonly key: Secret

  constructor(name: string, key: Secret) {
    this.name = name
    this.key = key
  }

  /** What they can do at this one. */
  at({ apiUrl }: Warden): Api {
    const credential = () => Promise.resolve(this.key)
    return new Api(
      new Exchange({ server: apiUrl, credential, fetch, pause: sleep, version: 'test' }),
    )
  }

  /** What the command line needs to speak for them to this one. */
  env({ apiUrl, directory }: Warden): Readonly<Record<string, string>> {
    return {
      PGWARDEN_URL: apiUrl.href,
      PGWARDEN_API_KEY: this.key.reveal(),
      XDG_CONFIG_HOME: directory,
    }
  }
}

/** Makes a key for somebody, which all wardens on this one's store take. */
export async function introduce(
  { storeUrl }: Warden,
  name: string,
  { groups = [], kind = 'person' }: About = {},
): Promise<Person> {
  const terms = { principal: name, kind, groups, claims: {}, scopes, durationMs: 3_600_000 }
  const { record, text } = newApiKey(terms, Date.now())
  const store = new Database({ url: new Secret(storeUrl), onProblem: () => undefined })
  try {
    await insertApiKey(store, record)
  } finally {
    await store.close()
  }
  return new Person(name, text)
}
