#!/bin/sh
# Makes what compose.yaml expects in compose/secrets: random passwords, and a certificate authority of the try-out's own.
# What is there stays. Files are readable for everybody, since accounts differ inside of containers; the directory is not.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 0700 secrets
cd secrets
# Also where somebody else made it.
chmod 0700 .

random() { openssl rand -hex 24; }
once() { [ -s "$1" ] || { cat >"$1.new" && mv "$1.new" "$1"; }; }

for name in postgres-password store-password vault-database-password vault-root-token metrics-token grafana-password nats-token; do
  random | tr -d '\n' | once "$name"
done
printf 'postgres://pgwarden:%s@postgres:5432/pgwarden' "$(cat store-password)" | once store-url
printf 'authorization { token: "%s" }\n' "$(cat nats-token)" | once nats-auth.conf

[ -s audit-key.pem ] || openssl genpkey -algorithm ed25519 -out audit-key.pem
if [ ! -s ca.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -sha256 \
    -subj '/CN=pgwarden try-out' -keyout ca.key -out ca.crt 2>/dev/null
fi
certificate() {
  [ -s "$1.crt" ] && return
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\n' "$1" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 90 -sha256 \
    -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
certificate pgwarden
certificate nats

chmod 0644 ./*
chmod 0600 ca.key
echo "compose/secrets is ready."
