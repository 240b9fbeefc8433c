// A Vault server in a process of the test's own, which can be killed, stopped, sealed and started again:
// its storage is files, so a restart finds all that was there. One key share, kept here. With TLS when
// that is asked for, by an authority of its own. Ignorant of what is mounted.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { certify, type Pair } from './certificates.ts'
import { freePort } from './ports.ts'
import { type Answer, ask, type Caller, list } from './vault-request.ts'

export interface OwnTerms {
  /**
   * `offered`: https, and a client may show a certificate (the login method `cert` asks for it);
   * `mutual`: https, and who shows none by the authority is not heard.
   */
  readonly tls?: 'offered' | 'mutual'
}

/** Files, for a configuration that names them, and the authority, for more certificates. */
export interface VaultTls {
  readonly authority: Pair
  readonly caFile: string
  /** A client's, which the authority vouches for. */
  readonly client: Pair
  readonly clientCertificateFile: string
  readonly clientKeyFile: string
}

export class OwnVault {
  readonly address: string
  readonly tls: VaultTls | undefined
  readonly #program: string
  readonly #directory: string
  #child: ChildProcess | undefined
  #rootToken = ''
  #key = ''

  private constructor(program: string, directory: string, address: string, tls?: VaultTls) {
    this.#program = program
    this.#directory = directory
    this.address = address
    this.tls = tls
  }

  /** Initialized and unsealed. */
  static async start(program: string, terms: OwnTerms = {}): Promise<OwnVault> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-vault-'))
    const host = `127.0.0.1:${await freePort()}`
    const tls = terms.tls === undefined ? undefined : await makeTls(directory)
    const config = configuration(directory, host, terms)
    await writeFile(join(directory, 'vault.json'), JSON.stringify(config))
    const scheme = tls === undefined ? 'http' : 'https'
    const vault = new OwnVault(program, directory, `${scheme}://${host}`, tls)
    try {
      await vault.#launch()
      const made = await vault.request('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })
      vault.#key = list(made['keys'])[0] ?? ''
      vault.#rootToken = String(made['root_token'])
      await vault.unseal()
      return vault
    } catch (error) {
      await vault.stop()
      throw error
    }
  }

  get rootToken(): string {
    return this.#rootToken
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** With the root token, and the client's certificate where there is TLS. */
  request(method: string, path: string, body?: unknown): Promise<Answer> {
    return ask(this.caller(this.#rootToken), method, path, body)
  }

  /** For requests with another token. */
  caller(token?: string): Caller {
    return {
      address: this.address,
      token,
      ca: this.tls?.authority.certificate,
      certificate: this.tls?.client.certificate,
      key: this.tls?.client.key,
    }
  }

  async seal(): Promise<void> {
    await this.request('PUT', 'sys/seal')
  }

  async unseal(): Promise<void> {
    await this.request('PUT', 'sys/unseal', { key: this.#key })
  }

  /** Connections to it hang from now on, and no new one is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Without a warning; its address refuses connections afterwards. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** The same server at the same address with all that it had, unsealed. */
  async restart(): Promise<void> {
    await this.kill()
    await this.#launch()
    await this.unseal()
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** What the server wrote. */
  log(): Promise<string> {
    return readFile(join(this.#directory, 'server.log'), 'utf8')
  }

  async #launch(): Promise<void> {
    const log = await open(join(this.#directory, 'server.log'), 'a')
    const words = ['server', `-config=${join(this.#directory, 'vault.json')}`]
    const child = spawn(this.#program, words, { stdio: ['ignore', log.fd, log.fd] })
    await log.close()
    this.#child = child
    // Not left behind by a test that is ended.
    const end = (): boolean => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.removeListener('exit', end))
    for (let tries = 0; ; tries++) {
      const answers = await this.request('GET', 'sys/seal-status').then(
        () => true,
        () => false,
      )
      if (answers) return
      if (child.exitCode !== null || tries > 400) throw new Error(`no Vault: ${await this.log()}`)
      await sleep(50)
    }
  }
}

async function makeTls(directory: string): Promise<VaultTls> {
  const authority = await certify('vault authority', { isAuthority: true })
  const server = await certify('vault', { by: authority, names: ['localhost', '127.0.0.1'] })
  const client = await certify('pgwarden', { by: authority, names: ['pgwarden'] })
  const file = async (name: string, pem: string): Promise<string> => {
    await writeFile(join(directory, name), pem, { mode: 0o600 })
    return join(directory, name)
  }
  await file('server.crt', server.certificate)
  await file('server.key', server.key)
  return {
    authority,
    caFile: await file('ca.crt', authority.certificate),
    client,
    clientCertificateFile: await file('client.crt', client.certificate),
    clientKeyFile: await file('client.key', client.key),
  }
}

function configuration(directory: string, address: string, { tls }: OwnTerms): unknown {
  const secured = {
    tls_cert_file: join(directory, 'server.crt'),
    tls_key_file: join(directory, 'server.key'),
    tls_client_ca_file: join(directory, 'ca.crt'),
    tls_require_and_verify_client_cert: tls === 'mutual',
  }
  return {
    storage: { file: { path: join(directory, 'storage') } },
    listener: [{ tcp: { address, ...(tls === undefined ? { tls_disable: true } : secured) } }],
    api_addr: `${tls === undefined ? 'http' : 'https'}://${address}`,
    disable_mlock: true,
  }
}
