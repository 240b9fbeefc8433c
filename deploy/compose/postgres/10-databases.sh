#!/bin/sh
# Run by the image of PostgreSQL in an empty data directory: the store's database, the sample target, and the logins
# that pgwarden and Vault use there (docs/vault.md, "PostgreSQL").
set -eu
secrets=${SECRETS:-/run/secrets}

psql -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres \
  -v store_password="$(cat "$secrets/store-password")" \
  -v vault_password="$(cat "$secrets/vault-database-password")" <<'SQL'
CREATE ROLE pgwarden LOGIN PASSWORD :'store_password';
CREATE DATABASE pgwarden OWNER pgwarden;
REVOKE CONNECT ON DATABASE pgwarden FROM PUBLIC;

CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_reader NOLOGIN;
CREATE ROLE shop_writer NOLOGIN;
GRANT shop_reader TO shop_writer;
CREATE ROLE vault_shop LOGIN CREATEROLE PASSWORD :'vault_password';
GRANT shop_owner, shop_reader, shop_writer TO vault_shop WITH ADMIN OPTION;
GRANT pg_monitor, pg_signal_backend TO vault_shop WITH ADMIN OPTION;
-- Without a password until Vault gives it one.
CREATE ROLE pgwarden_monitor LOGIN;
GRANT pg_signal_backend, pg_read_all_stats TO pgwarden_monitor;
GRANT pgwarden_monitor TO vault_shop WITH ADMIN OPTION;

CREATE DATABASE shop OWNER shop_owner;
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE shop TO shop_reader, shop_owner;
GRANT CONNECT ON DATABASE shop TO pgwarden_monitor, vault_shop;
\connect shop
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO shop_owner;
GRANT USAGE ON SCHEMA public TO shop_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT SELECT ON TABLES TO shop_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT INSERT, UPDATE, DELETE ON TABLES TO shop_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO shop_writer;

SET ROLE shop_owner;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, total numeric(10, 2) NOT NULL);
INSERT INTO orders (customer, total) SELECT 'customer ' || n, n * 1.5 FROM generate_series(1, 100) AS n;
SQL
