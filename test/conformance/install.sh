#!/usr/bin/env bash
# Installs the clients of the matrix, as far as this machine allows: Debian's packages that a client's
# folder lists in `packages`, then whatever its `install` does, in .conformance/ beside the repository's
# files. Run again it does nothing that is done already. A client that could not be installed is said
# here, and the matrix says that it was NOT RUN.
set -uo pipefail
cd "$(dirname "$0")"
export CONFORMANCE_CACHE="${CONFORMANCE_CACHE:-$(cd ../.. && pwd)/.conformance}"
mkdir -p "$CONFORMANCE_CACHE"

missing=()
for package in $(cat clients/*/packages 2>/dev/null | sort -u); do
  [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = 'install ok installed' ] || missing+=("$package")
done
if ((${#missing[@]})); then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get update -qq
    # One by one: a package that cannot be had is no reason to go without the others.
    for package in "${missing[@]}"; do
      timeout 240 apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "NOT INSTALLED: $package"
    done
  else
    echo "NOT INSTALLED (not root, or no apt-get): ${missing[*]}"
  fi
fi

for install in clients/*/install; do
  timeout 300 "$install" || echo "NOT INSTALLED: $(basename "$(dirname "$install")")"
done
