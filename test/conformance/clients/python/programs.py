"""PostgreSQL's own programs, run from Python: where they are, what they said. Names and numbers that
differ between any two runs are taken out of it, and nothing else."""

import glob
import os
import re
import shutil
import subprocess
import sys

import checks

environment = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ["HOME"],
    "LANG": "C.UTF-8",
    "PGHOST": checks.host,
    "PGPORT": str(checks.port),
    "PGDATABASE": checks.database,
    "PGUSER": checks.user,
    "PGPASSWORD": checks.password,
    "PGCONNECT_TIMEOUT": "10",
    "PGSSLMODE": "verify-full" if checks.tls else "disable",
    **({"PGSSLROOTCERT": checks.ca} if checks.tls else {}),
}


def find(name):
    """Its path, the newest release first; where there is none the client is not installed."""
    path = shutil.which(name) or max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)
    if path is None:
        print(f"{name} is not installed: npm run conformance:install", file=sys.stderr)
        sys.exit(77)
    return path


def version(path):
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    return re.search(r"\(PostgreSQL\) (\S+)", said)[1]


def run(path, *words, text=None, expect=0, **more):
    """What it wrote to stdout and stderr. A status other than `expect` is a failure; None takes any."""
    done = subprocess.run(
        [path, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=checks.limit_seconds,
        env=environment | more,
    )
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{words} ended with {done.returncode}: {neutral(done.stderr)}")
    return neutral(done.stdout), neutral(done.stderr)


def neutral(said):
    said = said.replace(checks.database, "DATABASE").replace(checks.user, "USER")
    said = said.replace(f'port "{checks.port}"', "PORT").replace(f"port {checks.port}", "PORT")
    return re.sub(r"(process with PID|^psql:\S+:) ?\d*", r"\1", said)
