// The store's side of the desk: its transactions, and what it looks up outside of them. Ignorant of what may be
// decided; the statements are in the files beside it, by subject.

import type { DeskStore, DeskTransaction } from '../access/desk-store.ts'
import { insertApiKey, revokeApiKey } from './api-keys.ts'
import { insertChange, revokedBy } from './changes.ts'
import type { Database, Statements } from './database.ts'
import * as held from './desk-grants.ts'
import { insertGrant } from './grants.ts'
import * as requests from './requests.ts'
import { insertToken } from './tokens.ts'

export function deskStore(database: Database): DeskStore {
  return {
    transaction: (work) => database.transaction((statements) => work(transactionOn(statements))),
    findRequest: (id) => requests.findRequest(database, id),
    listRequests: (search) => requests.listRequests(database, search),
    findGrant: (id) => held.findStoredGrant(database, id),
    listGrants: (search) => held.listStoredGrants(database, search),
  }
}

function transactionOn(statements: Statements): DeskTransaction {
  return {
    lockRequest: (id) => requests.lockRequest(statements, id),
    lockGrant: (id) => held.lockGrant(statements, id),
    countPending: (principal, now) => requests.countPending(statements, principal, now),
    countHeld: (principal, now) => held.countHeld(statements, principal, now),
    pendingExtension: (grantId) => requests.pendingExtension(statements, grantId),
    revokedBy: (grantId) => revokedBy(statements, grantId),
    lockOverdue: (now, limit) => requests.lockOverdue(statements, now, limit),
    lockEnded: (now, limit) => held.lockEnded(statements, now, limit),
    lockEnding: (now, until, limit) => held.lockEnding(statements, now, until, limit),
    insertRequest: (request) => requests.insertRequest(statements, request),
    updateRequest: (request) => requests.updateRequest(statements, request),
    insertApproval: (approval) => requests.insertApproval(statements, approval),
    insertGrant: (grant) => insertGrant(statements, grant),
    updateGrant: (grant) => held.updateGrant(statements, grant),
    insertToken: (token) => insertToken(statements, token),
    insertApiKey: (key) => insertApiKey(statements, key),
    revokeApiKey: (id, now) => revokeApiKey(statements, id, now),
    insertChange: (change, at) => insertChange(statements, change, at),
  }
}
