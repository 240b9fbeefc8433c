// Vault: whether each of its servers can be reached and serves, whether we get a token from it and how long
// that one lasts, and whether it lets us do what the configured roles need. Asks for no secret.
// Ignorant of HTTP and of how one logs in. Vault documentation: "Tokens", /sys/capabilities-self.

import { type Circumstances, type Finding, fail, ok, warn, within } from './finding.ts'
import { validity } from './validity.ts'

export interface ExaminedVault {
  /** The method of login, by its name in the configuration. */
  readonly method: string
  readonly servers: readonly {
    readonly address: string
    /** By its address: what is said to it stays on this machine. */
    readonly loopback: boolean
    /** @throws when it cannot be reached, or not with TLS as it must be. */
    readonly health: (signal: AbortSignal) => Promise<VaultHealth>
  }[]
  /** Logs in where nobody has yet. @throws */
  readonly read: (path: string) => Promise<Data>
  readonly write: (path: string, body: object) => Promise<Data>
  /** Why a login must not be tried: it would use up what the running pgwarden needs. */
  readonly untouchable: string | undefined
  readonly needs: readonly Need[]
}

/** What a configured role does with a path. */
export interface Need {
  readonly path: string
  readonly capability: 'read' | 'update'
  /** e.g. `to get logins for read_only on shop`. */
  readonly why: string
}

interface VaultHealth {
  readonly state: 'active' | 'standby' | 'sealed' | 'uninitialized'
  readonly version: string
  /** DER, where there is TLS. */
  readonly certificate: Buffer | undefined
}

type Data = Readonly<Record<string, unknown>>

const healthLimit = 10_000
const questionLimit = 20_000

/** Whether Vault can be asked for logins; `untouched`: it must not be. */
export type VaultState = 'works' | 'broken' | 'untouched'

export async function* examineVault(
  vault: ExaminedVault,
  circumstances: Circumstances,
): AsyncGenerator<Finding, VaultState> {
  let serving = 0
  for (const server of vault.servers) {
    const findings = await examineServer(server, circumstances)
    if (findings.every(({ result }) => result !== 'fail')) serving += 1
    yield* findings
  }
  if (serving === 0) return 'broken'
  const subject = `vault login by ${vault.method}`
  if (vault.untouchable !== undefined) {
    yield warn(subject, `not tried: ${vault.untouchable}`, 'Start serve, and look at /readyz.')
    return 'untouched'
  }
  try {
    const ask = () => vault.read('auth/token/lookup-self')
    yield* tokenFindings(
      vault,
      await within(circumstances, 'logging in to Vault', questionLimit, ask),
    )
  } catch (error) {
    yield fail(subject, error, `${loginAdvice[vault.method] ?? ''} ${lookupAdvice}`.trim())
    return 'broken'
  }
  yield* examineRights(vault, circumstances)
  return 'works'
}

async function examineServer(
  { address, loopback, health }: ExaminedVault['servers'][number],
  circumstances: Circumstances,
): Promise<readonly Finding[]> {
  const subject = `vault ${address}`
  try {
    const step = `asking Vault at ${address}`
    const { state, version, certificate } = await within(circumstances, step, healthLimit, health)
    switch (state) {
      case 'sealed':
        return [fail(subject, 'it is sealed', 'Unseal it: vault operator unseal')]
      case 'uninitialized':
        return [fail(subject, 'it is not initialized', 'Initialize it: vault operator init')]
      case 'active':
      case 'standby':
    }
    const serves = ok(subject, `version ${version}, ${state}`)
    if (certificate === undefined && loopback) return [serves]
    if (certificate === undefined) {
      const advice = 'Write an address with https://.'
      return [serves, warn(subject, 'tokens and passwords cross the network in the clear', advice)]
    }
    return [serves, validity(subject, 'its certificate', certificate, circumstances.clock.now())]
  } catch (error) {
    return [
      fail(
        subject,
        error,
        'Look at vault.addresses and at what is between; for a certificate of your own authority write vault.tls.ca.',
      ),
    ]
  }
}

const lookupAdvice = '(Refused at auth/token/lookup-self: the policy lacks that path.)'

const loginAdvice: Readonly<Record<string, string>> = {
  token: 'Give it a token that is good: vault token lookup tells of one.',
  approle:
    'Look at the role id and the secret id; a new one: vault write -f auth/approle/role/NAME/secret-id',
  kubernetes:
    'Look at the role’s bound_service_account_names and _namespaces, and at the mount of the method.',
  jwt: 'Look at the role’s bound_audiences, bound_subject and bound_claims, and at the mount of the method.',
  cert: 'Look at the certificate that is shown and at the role in auth/cert/certs that is to take it.',
}

/** Vault revokes what a token was issued together with the token: its life bounds that of every lease. */
function* tokenFindings(vault: ExaminedVault, token: Data): Generator<Finding> {
  const subject = `vault login by ${vault.method}`
  const seconds = (name: string): number => {
    const value = token[name]
    return typeof value === 'number' ? value : 0
  }
  const policies = Array.isArray(token['policies']) ? token['policies'].map(String) : []
  yield ok(subject, `accepted; its policies are ${policies.join(', ')}`)
  if (policies.includes('root')) {
    yield warn(subject, 'it is a root token', 'Use one with the policy in docs/vault.md alone.')
  }
  if (seconds('num_uses') > 0) {
    yield fail(
      subject,
      `the token can be used ${seconds('num_uses')} more times only`,
      'Set token_num_uses to 0.',
    )
  }
  const ttl = seconds('ttl')
  if (ttl === 0) yield ok(subject, 'the token does not end')
  else if (token['type'] === 'batch') {
    yield warn(
      subject,
      `a batch token cannot be renewed: in ${duration(ttl)} all logins that it was issued end with it`,
      'Set token_type=service and a token_period.',
    )
  } else if (token['renewable'] !== true) {
    yield warn(
      subject,
      `the token cannot be renewed: in ${duration(ttl)} all logins that it was issued end with it`,
      'Use a periodic token: vault token create -orphan -period=24h -policy=pgwarden',
    )
  } else if (seconds('period') > 0) {
    yield ok(
      subject,
      `the token is periodic, ${duration(seconds('period'))}: it is renewed for ever`,
    )
  } else {
    yield warn(
      subject,
      'the token has no period: at its max TTL all logins that it was issued end with it',
      'Set token_period (a token: -period=24h), and neither token_max_ttl nor token_explicit_max_ttl.',
    )
  }
}

async function* examineRights(
  { write, needs }: ExaminedVault,
  circumstances: Circumstances,
): AsyncGenerator<Finding, void> {
  const subject = 'vault policy'
  const paths = [...new Set(needs.map(({ path }) => path))]
  try {
    const ask = () => write('sys/capabilities-self', { paths })
    const granted = await within(circumstances, 'asking Vault what we may', questionLimit, ask)
    const missing = needs.filter(({ path, capability }) => !mayDo(granted[path], capability))
    for (const { path, capability, why } of missing) {
      yield fail(
        subject,
        `our token may not ${capability} ${path}, ${why}`,
        `Add to its policy: path "${path}" { capabilities = ["${capability}"] }`,
      )
    }
    if (missing.length === 0)
      yield ok(subject, `it allows all ${paths.length} paths that are needed`)
  } catch (error) {
    yield warn(
      subject,
      `what it allows cannot be asked: ${error instanceof Error ? error.message : String(error)}`,
      'Add to it: path "sys/capabilities-self" { capabilities = ["update"] }',
    )
  }
}

function mayDo(granted: unknown, capability: string): boolean {
  return Array.isArray(granted) && (granted.includes(capability) || granted.includes('root'))
}

function duration(seconds: number): string {
  const [size, unit] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
  ].find(([size]) => seconds >= Number(size)) ?? [1, 's']
  return `${Math.floor(seconds / Number(size))} ${unit}`
}
