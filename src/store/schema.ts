// The store's schema, as the steps that lead to it. A step that has been released is never edited, since
// databases have been through it as it was; add another. Ignorant of how they are run (migrations.ts).

interface Migration {
  readonly name: string
  readonly sql: string
}

export const migrations: readonly Migration[] = [
  {
    name: '0001-grants-tokens-leases',
    sql: `
      create table pgwarden.grants (
        id         text primary key,
        principal  text not null,
        target     text not null,
        role       text not null,
        starts_at  timestamptz not null,
        ends_at    timestamptz not null check (ends_at > starts_at),
        revoked_at timestamptz,
        reason     text not null check (reason <> ''),
        request_id text
      );
      create index grants_by_principal on pgwarden.grants (principal, ends_at);

      create table pgwarden.access_tokens (
        id              text primary key,
        grant_id        text not null references pgwarden.grants,
        kind            text not null check (kind in ('one-time', 'single-use', 'reusable')),
        hash            bytea not null check (octet_length(hash) = 32),
        issued_at       timestamptz not null,
        redeem_by       timestamptz not null,
        redeemed_at     timestamptz,
        revoked_at      timestamptz,
        sitting_address text,
        sitting_until   timestamptz,
        sitting_logins  integer not null default 0,
        check ((sitting_address is null) = (sitting_until is null))
      );
      create index access_tokens_by_grant on pgwarden.access_tokens (grant_id);

      create table pgwarden.leases (
        id            text primary key,
        grant_id      text not null references pgwarden.grants,
        target        text not null,
        engine        text not null,
        database_role text not null,
        instance      text not null,
        issued_at     timestamptz not null,
        renewed_at    timestamptz not null,
        ended_at      timestamptz
      );
      create index open_leases_by_grant on pgwarden.leases (grant_id) where ended_at is null;
      create index open_leases_by_renewal on pgwarden.leases (renewed_at) where ended_at is null;`,
  },
  {
    // Tokens that were issued before have none: they can only be sent as a password.
    name: '0002-token-verifiers',
    sql: `
      alter table pgwarden.access_tokens
        add column scram_salt       bytea,
        add column scram_iterations integer check (scram_iterations > 0),
        add column scram_stored_key bytea check (octet_length(scram_stored_key) = 32),
        add column scram_server_key bytea check (octet_length(scram_server_key) = 32),
        add check (num_nulls(scram_salt, scram_iterations, scram_stored_key, scram_server_key)
                   in (0, 4));`,
  },
  {
    name: '0003-notification-key',
    sql: `
      create table pgwarden.notification_key (
        id  boolean primary key default true check (id),
        key bytea not null check (octet_length(key) = 32)
      );`,
  },
  {
    // The role is not known before an engine that chooses its name has answered.
    name: '0004-leases-of-engines',
    sql: `
      alter table pgwarden.leases
        alter column database_role drop not null,
        add column vault_lease text,
        add column expires_at  timestamptz,
        add column revocation  text check (revocation in ('confirmed', 'unconfirmed')),
        add column tried_at    timestamptz,
        add column tries       integer not null default 0;`,
  },
  {
    // A change is written in the transaction of what it changes: whoever reads changes misses none.
    name: '0005-control-plane',
    sql: `
      alter table pgwarden.grants
        add column relations      jsonb,
        add column claims         jsonb not null default '{}',
        add column end_told_at    timestamptz,
        add column ending_told_at timestamptz;
      -- Nobody is told now of what ended before there was anybody to tell.
      update pgwarden.grants set end_told_at = ends_at where ends_at <= now();
      create index grants_by_end on pgwarden.grants (ends_at) where revoked_at is null;
      create index grants_to_end on pgwarden.grants (ends_at)
        where revoked_at is null and end_told_at is null;
      create index grants_by_start on pgwarden.grants (starts_at, id);
      create index grants_of_principal on pgwarden.grants (principal, starts_at, id);
      create index grants_of_target on pgwarden.grants (target, role, starts_at, id);

      create table pgwarden.requests (
        id          text primary key,
        principal   text not null,
        kind        text not null check (kind in ('person', 'service')),
        groups      text[] not null,
        target      text not null,
        role        text not null,
        reason      text not null check (reason <> ''),
        duration_ms bigint not null check (duration_ms > 0),
        starts_at   timestamptz,
        relations   jsonb,
        claims      jsonb not null,
        extends     text references pgwarden.grants,
        created_at  timestamptz not null,
        expires_at  timestamptz not null,
        state       text not null
                    check (state in ('pending', 'approved', 'denied', 'withdrawn', 'expired')),
        decided_at  timestamptz,
        grant_id    text references pgwarden.grants,
        check ((state = 'pending') = (decided_at is null)),
        check ((state = 'approved') = (grant_id is not null))
      );
      create index requests_by_creation on pgwarden.requests (created_at, id);
      create index requests_of_principal on pgwarden.requests (principal, created_at, id);
      create index requests_of_target on pgwarden.requests (target, role, created_at, id);
      create index requests_by_state on pgwarden.requests (state, created_at, id);
      create index pending_requests on pgwarden.requests (expires_at) where state = 'pending';
      create unique index one_pending_extension on pgwarden.requests (extends) where state = 'pending';

      create table pgwarden.approvals (
        request_id text not null references pgwarden.requests,
        approver   text not null,
        groups     text[] not null,
        decision   text not null check (decision in ('approve', 'deny')),
        comment    text,
        at         timestamptz not null,
        primary key (request_id, approver)
      );

      create table pgwarden.changes (
        id         bigint generated always as identity primary key,
        at         timestamptz not null,
        type       text not null,
        request_id text,
        grant_id   text,
        principal  text,
        body       jsonb not null
      );
      create index changes_by_request on pgwarden.changes (request_id, id) where request_id is not null;
      create index changes_by_grant on pgwarden.changes (grant_id, id) where grant_id is not null;`,
  },
  {
    name: '0006-api-keys',
    sql: `
      create table pgwarden.api_keys (
        id           text primary key,
        hash         bytea not null check (octet_length(hash) = 32),
        principal    text not null,
        kind         text not null check (kind in ('person', 'service')),
        groups       text[] not null,
        claims       jsonb not null,
        scopes       text[] not null
                     check (scopes <@ '{access,approve,administer,audit}' and scopes <> '{}'),
        created_at   timestamptz not null,
        expires_at   timestamptz not null check (expires_at > created_at),
        revoked_at   timestamptz,
        last_used_at timestamptz
      );
      create index api_keys_by_principal on pgwarden.api_keys (principal, created_at desc, id);
      create index api_keys_by_creation on pgwarden.api_keys (created_at desc, id);`,
  },
  {
    // Neither table is kept for long: with its process a session is gone.
    name: '0007-sessions',
    sql: `
      create table pgwarden.proxies (
        instance text primary key,
        seen_at  timestamptz not null
      );
      create table pgwarden.sessions (
        id               text primary key,
        instance         text not null references pgwarden.proxies on delete cascade,
        grant_id         text not null,
        principal        text not null,
        target           text not null,
        role             text not null,
        client           text not null,
        application      text,
        started_at       timestamptz not null,
        end_requested_at timestamptz
      );
      create index sessions_by_instance on pgwarden.sessions (instance);
      create index sessions_by_grant on pgwarden.sessions (grant_id);
      create index sessions_by_principal on pgwarden.sessions (principal, started_at desc);
      create index sessions_by_start on pgwarden.sessions (started_at desc, id);`,
  },
  {
    // Written by strangers: nothing refers to it, and what is old is deleted.
    name: '0008-login-failures',
    sql: `
      create table pgwarden.login_failures (
        id           text primary key,
        principal    text not null,
        address      text not null,
        failures     integer not null,
        since        timestamptz not null,
        locked_until timestamptz,
        unique (principal, address)
      );
      create index login_failures_by_address on pgwarden.login_failures (address);
      create index login_failures_by_age on pgwarden.login_failures (since);
      create index login_lock_outs on pgwarden.login_failures (locked_until)
        where locked_until is not null;

      create table pgwarden.known_addresses (
        principal text not null,
        address   text not null,
        seen_at   timestamptz not null,
        primary key (principal, address)
      );
      create index known_addresses_by_age on pgwarden.known_addresses (seen_at);`,
  },
  {
    name: '0009-idempotency',
    sql: `
      create table pgwarden.idempotency_keys (
        principal text not null,
        key       text not null,
        hash      bytea not null check (octet_length(hash) = 32),
        taken_at  timestamptz not null,
        done      boolean not null default false,
        status    integer,
        body      text,
        location  text,
        etag      text,
        primary key (principal, key),
        check ((status is null) = (body is null))
      );
      create index idempotency_keys_by_age on pgwarden.idempotency_keys (taken_at);`,
  },
  {
    // Changes of before were for nobody: they count as told.
    name: '0010-notifications',
    sql: `
      alter table pgwarden.changes add column distributed boolean not null default true;
      alter table pgwarden.changes alter column distributed set default false;
      create index fresh_changes on pgwarden.changes (id) where not distributed;

      create table pgwarden.deliveries (
        channel   text not null,
        change_id bigint not null references pgwarden.changes,
        object    text not null,
        at        timestamptz not null,
        due_at    timestamptz not null,
        tries     integer not null default 0,
        primary key (channel, change_id)
      );
      create index deliveries_by_object on pgwarden.deliveries (channel, object, change_id);
      create index deliveries_by_turn on pgwarden.deliveries (channel, due_at, change_id);
      create index deliveries_by_age on pgwarden.deliveries (channel, at);`,
  },
]
