// A listener's certificate, as its files have it now. They are looked at every few seconds, since
// renewals come in many ways: written over, renamed into place, or a symbolic link of Kubernetes that
// points elsewhere. What cannot be used changes nothing: the certificate before it goes on being shown.
// Ignorant of who shows it.

import { stat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { type Certificate, type CertificateFiles, readCertificate } from './files.ts'

interface WatchOptions {
  readonly files: CertificateFiles
  readonly clock: Clock
  readonly observer: CertificateObserver
  /** How often to look; every 5 s by default. */
  readonly everyMs?: number
}

interface CertificateObserver {
  /** Another certificate is shown from now on; also the first. */
  loaded(certificate: Certificate): void
  /** The files have changed and cannot be used. Told once for each state that they are in. */
  failed(error: unknown): void
  /** It expires soon, or has: told when that begins and every day from then on. */
  expiring(certificate: Certificate): void
}

const lookEveryMs = 5_000
const day = 86_400_000
const expiresSoonMs = 14 * day

export class CertificateWatch {
  readonly #options: WatchOptions
  #current: Certificate
  /** What the files looked like when they were read last. */
  #seen: string
  /** What was complained of last, while it lasts. */
  #complaint: string | undefined
  #warnedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  private constructor(options: WatchOptions, current: Certificate, seen: string) {
    this.#options = options
    this.#current = current
    this.#seen = seen
    options.observer.loaded(current)
    this.#warn()
  }

  /** Reads the files and begins to watch them. Throws a Failure when they cannot be used. */
  static async start(options: WatchOptions): Promise<CertificateWatch> {
    // Before they are read: a change in between is then seen as one.
    const seen = await lookOf(options.files)
    const watch = new CertificateWatch(options, await readCertificate(options.files), seen)
    watch.#lookLater()
    return watch
  }

  /** Another object whenever it was renewed. */
  get current(): Certificate {
    return this.#current
  }

  /** Looks now, and not only every few seconds. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #lookLater(): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      void this.look().finally(() => this.#lookLater())
    }, this.#options.everyMs ?? lookEveryMs)
    this.#timer.unref()
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { files, observer } = this.#options
    const look = await lookOf(files)
    // While something is wrong they are read each time: it may not have been the files.
    if (look !== this.#seen || this.#complaint !== undefined) {
      try {
        this.#current = await readCertificate(files)
        this.#seen = look
        this.#complaint = undefined
        this.#warnedAt = Number.NEGATIVE_INFINITY
        observer.loaded(this.#current)
      } catch (error) {
        if (this.#complaint !== look) observer.failed(error)
        this.#complaint = look
      }
    }
    this.#warn()
  }

  #warn(): void {
    const now = this.#options.clock.now()
    if (this.#current.expiresAt - now > expiresSoonMs || now - this.#warnedAt < day) return
    this.#warnedAt = now
    this.#options.observer.expiring(this.#current)
  }
}

/** Another text whenever one of the files is another one, was written, or got other permissions. */
async function lookOf({ certificate, key, clientCa }: CertificateFiles): Promise<string> {
  const looks = [certificate, key, ...(clientCa === undefined ? [] : [clientCa])].map(
    async (path) => {
      try {
        const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
        return [dev, ino, size, mtimeNs, ctimeNs].join(':')
      } catch (error) {
        return error instanceof Error ? error.message : 'unknown'
      }
    },
  )
  return (await Promise.all(looks)).join(' ')
}
