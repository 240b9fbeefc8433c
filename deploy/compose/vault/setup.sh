#!/bin/sh
# What docs/vault.md does by hand, for the try-out: the database engine, and an AppRole for pgwarden,
# whose role id and secret id it leaves in /login. Runs once each time that Vault starts, since Vault's dev mode
# forgets everything; so vault_shop's password is not rotated here, which it should be everywhere else.
set -eu
cd "$(dirname "$0")"
VAULT_TOKEN=$(cat "${SECRETS:-/run/secrets}/vault-root-token")
export VAULT_TOKEN
login=${LOGIN:-/login}

if vault read auth/approle/role/pgwarden/role-id >/dev/null 2>&1; then
  echo "Vault has been set up already."
else
  vault secrets enable database
  vault write database/config/shop \
    plugin_name=postgresql-database-plugin \
    connection_url="postgresql://{{username}}:{{password}}@${DATABASE:-postgres:5432}/shop?sslmode=disable" \
    username=vault_shop password="$(cat "${SECRETS:-/run/secrets}/vault-database-password")" \
    password_authentication=scram-sha-256 \
    allowed_roles='shop-*'
  for role in read_only read_limited_write read_full_write admin; do
    vault write "database/roles/shop-$role" db_name=shop default_ttl=1h max_ttl=24h \
      creation_statements=@"$role.sql" revocation_statements=@revoke.sql
  done
  vault write database/static-roles/shop-monitor db_name=shop username=pgwarden_monitor rotation_period=24h

  vault policy write pgwarden pgwarden.hcl
  vault auth enable approle
  vault write auth/approle/role/pgwarden token_policies=pgwarden token_no_default_policy=true \
    token_period=24h secret_id_num_uses=0 secret_id_ttl=0
fi

# Never half a file; for pgwarden's account alone. Only root may give files away.
umask 077
vault read -field=role_id auth/approle/role/pgwarden/role-id >"$login/.role-id"
vault write -f -field=secret_id auth/approle/role/pgwarden/secret-id >"$login/.secret-id"
for name in role-id secret-id; do
  [ "$(id -u)" != 0 ] || chown 65532:65532 "$login/.$name"
  mv "$login/.$name" "$login/$name"
done
echo "Vault is ready for pgwarden."
