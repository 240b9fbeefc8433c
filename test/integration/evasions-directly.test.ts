// What the statements of evasions.tsv do when nobody stops them: each is sent straight to PostgreSQL, by
// a superuser, and the server must answer what the corpus says. So a statement that is not valid SQL, or
// that means something else in another release, is found. None reaches beyond its database: what must
// not be harmed does not exist, files are /dev/null, programs `true` and `cat`, and nobody listens on
// the ports that are dialled.

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connectedTo } from '../support/databases.ts'
import { type Evasion, evasions, fixture, fixtureRoles } from '../support/evasions.ts'
import { olderServerIsInstalled, startOlderServer } from '../support/older-server.ts'
import { TrialDatabase } from '../support/trial-database.ts'

const categories = [...new Set(evasions.map((row) => row.category))]

interface Server {
  readonly adminUrl: string
  stop(): Promise<void>
}

answersAsTheCorpusSays('the server of these tests', async () => ({
  adminUrl: inject('adminUrl'),
  stop: async () => {},
}))

if (olderServerIsInstalled()) answersAsTheCorpusSays('PostgreSQL 15', startOlderServer)
else it.skip('PostgreSQL 15 answers as the corpus says (NOT RUN: it is not installed)')

function answersAsTheCorpusSays(what: string, start: () => Promise<Server>): void {
  // The two servers work beside each other; the statements of one come one after another.
  describe.concurrent(`${what} answers as the corpus says`, () => {
    let server: Server
    let trial: TrialDatabase
    let release: number

    beforeAll(async () => {
      server = await start()
      await connectedTo(server.adminUrl, async (client) => {
        for (const role of fixtureRoles) {
          await client.query(`DROP ROLE IF EXISTS ${role}`)
          await client.query(`CREATE ROLE ${role}`)
        }
        const { rows } = await client.query<{ release: number }>(
          "SELECT current_setting('server_version_num')::int / 10000 AS release",
        )
        release = rows[0]?.release ?? 0
      })
      trial = await TrialDatabase.create(server.adminUrl, fixture)
    })
    afterAll(async () => {
      await trial.drop()
      await connectedTo(server.adminUrl, async (client) => {
        for (const role of fixtureRoles) await client.query(`DROP ROLE ${role}`)
      })
      await server.stop()
    })

    it.sequential.each(categories)('%s', async (category) => {
      const unexpected: string[] = []
      for (const row of evasions.filter((candidate) => candidate.category === category)) {
        const answer = await trial.answer(row.sql)
        const expected = expectedAnswers(row, release)
        if (expected.includes(answer)) continue
        unexpected.push(`${row.title}: ${answer} instead of ${expected.join(' or ')}`)
      }
      expect(unexpected).toEqual([])
    })
  })
}

/** Releases between the two that were recorded are like the one or like the other. */
function expectedAnswers({ answers }: Evasion, release: number): readonly string[] {
  if (release <= 15) return [answers['15']]
  return release >= 18 ? [answers['18']] : [answers['15'], answers['18']]
}
