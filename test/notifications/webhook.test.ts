// What programs get.

import { describe, expect, it } from 'vitest'
import { webhookLetter } from '../../src/notifications/webhook.ts'
import { Secret } from '../../src/secret.ts'
import { alice, bob, deliveryOf, grant, request, start, surroundings } from './changes.ts'

const secret = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
const created = deliveryOf({ type: 'request.created', request, by: alice })

describe("a webhook's letter", () => {
  it('says in the words of the API what was changed, and what an approver runs', () => {
    const { body } = webhookLetter(created, surroundings, [secret], start)
    expect(JSON.parse(body)).toEqual({
      type: 'request.created',
      timestamp: '2026-01-01T09:00:00.000Z',
      data: {
        by: { principal: 'alice', via: 'oidc' },
        request: {
          id: 'reqaaaaaaaaaaaaa',
          principal: 'alice',
          kind: 'person',
          target: 'shop',
          role: 'read_full_write',
          reason: 'repair order 4711',
          durationSeconds: 14_400,
          state: 'pending',
          createdAt: '2026-01-01T09:00:00.000Z',
          expiresAt: '2026-01-01T17:00:00.000Z',
        },
        missing: [
          { function: 'manager', groups: ['managers'] },
          { function: 'ciso', groups: ['security'] },
        ],
        decide: {
          approve: 'pgwarden approve reqaaaaaaaaaaaaa',
          deny: 'pgwarden deny reqaaaaaaaaaaaaa',
        },
        url: 'https://pgwarden.example/api/v1/requests/reqaaaaaaaaaaaaa',
      },
    })
  })

  it('holds nothing that the identity provider says of the requester', () => {
    const approved = { type: 'request.approved', request, grant, by: bob, comment: 'ok' } as const
    const { body } = webhookLetter(deliveryOf(approved), surroundings, [secret], start)
    expect(body).not.toMatch(/developers|uid|42/)
  })

  it('asks for nobody where the rules have approved at once', () => {
    const approved = { ...request, state: 'approved' } as const
    const { body } = webhookLetter(
      deliveryOf({ type: 'request.created', request: approved, by: alice }, { isPending: false }),
      surroundings,
      [secret],
      start,
    )
    expect(JSON.parse(body)).toMatchObject({ data: { missing: [] } })
    expect(body).not.toContain('pgwarden approve')
  })

  it('has the same id each time it is tried, and another time', () => {
    const [first, second] = [start, start + 5_000].map(
      (now) => webhookLetter(created, surroundings, [secret], now).headers,
    )
    expect(second?.['webhook-id']).toBe(first?.['webhook-id'])
    expect(second?.['webhook-timestamp']).not.toBe(first?.['webhook-timestamp'])
    expect(second?.['webhook-signature']).not.toBe(first?.['webhook-signature'])
  })

  it('is signed with both secrets while one is replaced by the other', () => {
    const other = new Secret('whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD')
    const sign = (...secrets: Secret[]) =>
      webhookLetter(created, surroundings, secrets, start).headers['webhook-signature']
    expect(sign(secret, other)).toBe(`${sign(secret)} ${sign(other)}`)
  })
})
