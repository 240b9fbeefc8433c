// What in a statement a role may not do: the words between those who judge and those who put it into a
// sentence. Ignorant of both.

import type { FunctionUse, NameUse, RelationUse, SettingChange } from '../sql/facts.ts'
import type { SnapshotCarrier } from './catalog.ts'
import type { FunctionKind } from './functions.ts'
import type { CatalogPower } from './roles.ts'

/** What is kept from a session beside what its role keeps from it. */
export type Guard = 'context' | 'relations'

/** Something other than a call that runs user code. */
export interface Carrier {
  readonly what: 'operator' | 'type' | 'relation' | 'parameter type'
  readonly use: NameUse
  readonly carrier: SnapshotCarrier
}

/** What the role may not do. */
export type Objection =
  | { readonly type: 'opaque'; readonly tag: string; readonly why: string }
  | { readonly type: 'command'; readonly command: string; readonly where: string }
  | { readonly type: 'catalog'; readonly relation: RelationUse; readonly needs: CatalogPower }
  | { readonly type: 'relation'; readonly relation: RelationUse; readonly why: string }
  | { readonly type: 'function'; readonly use: FunctionUse; readonly kind: FunctionKind }
  | { readonly type: 'carrier'; readonly carrier: Carrier }
  | {
      readonly type: 'unseen'
      /** What of the statement it is about. */
      readonly subject: string
      readonly why: string
      readonly guards: Guard
    }
  | { readonly type: 'setting'; readonly change: SettingChange; readonly why: SettingProblem }

export type SettingProblem =
  /** Nobody may set it so. */
  | 'pinned'
  | 'not allowed'
  /** It is part of the session context. */
  | 'context'
  /** Above the role's limit, or none that can be compared with it. */
  | 'limit'
