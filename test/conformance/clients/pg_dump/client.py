"""pg_dump and pg_restore in all formats. What was dumped is compared as text: a custom or directory dump
is turned into text, a restored schema is dumped again."""

import os
import re
import shutil
import tempfile

import checks
import programs

pg_dump = programs.find("pg_dump")
pg_restore = programs.find("pg_restore")
psql = programs.find("psql")
folder = tempfile.mkdtemp(prefix="conformance-dump-")

SCHEMA = """
drop schema if exists dumped cascade;
create schema dumped;
set search_path = dumped;
create type mood as enum ('glad', 'sad ünï');
create domain positive as int check (value > 0);
create table people (id serial primary key, name text not null, mood mood default 'glad',
                     tags text[], born date, photo bytea, extra jsonb);
create table visits (id bigint generated always as identity, person int references people on delete cascade,
                     at timestamptz, n positive) partition by range (id);
create table visits_low partition of visits for values from (0) to (20000);
create table visits_high partition of visits default;
insert into people (name, mood, tags, born, photo, extra)
  select 'ünï ' || n, (array['glad', 'sad ünï', null])[1 + n % 3]::mood, array['a', null, 'tab' || chr(9)],
         date '2000-01-01' + n, decode(md5(n::text), 'hex'), jsonb_build_object('n', n)
  from generate_series(1, 5000) n;
insert into visits (person, at, n)
  select 1 + n % 5000, timestamptz '2020-01-01 00:00 UTC' + n * interval '1 minute', n
  from generate_series(1, 100000) n;
create index on visits (at desc) where n > 10;
create view glad as select id, name from people where mood = 'glad';
create materialized view counts as select person, count(*) from visits group by person;
create function total(int) returns bigint language sql stable as 'select count(*) from dumped.visits where person = $1';
create function noticed() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger noticed before insert on people for each row execute function noticed();
comment on table people is 'who visits; it''s ünï';
alter table people enable row level security;
create policy mine on people using (id > 0);
create sequence apart start 42 increment 7;
select nextval('apart');
"""


def sql(text):
    return programs.run(psql, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", text=text)[0]


def dump(*words):
    return programs.run(pg_dump, "--no-owner", "--no-privileges", "-n", "dumped", *words)[0]


def as_text(file):
    return settled(programs.run(pg_restore, "--no-owner", "--no-privileges", "-f", "-", file)[0])


def settled(text):
    """Without the key that each dump makes anew, and without the order that a parallel one has."""
    return sorted(re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE).splitlines())


def path(name):
    return os.path.join(folder, name)


def session():
    sql(SCHEMA)
    return checks.digest(settled(dump("--schema-only")))


def copy_out():
    text = dump()
    return checks.digest(settled(text)), [line for line in text.splitlines() if line.startswith("COPY")]


def inserts():
    return checks.digest(settled(dump("--column-inserts", "--rows-per-insert=100", "-t", "dumped.people")))


def formats():
    """Custom, tar, and a directory written by two sessions of one snapshot."""
    text = settled(dump())
    dump("-Fc", "-f", path("custom"))
    dump("-Ft", "-f", path("tar"))
    dump("-Fd", "-j", "2", "-f", path("directory"))
    for name in ("custom", "tar", "directory"):
        if as_text(path(name)) != text:
            raise AssertionError(f"the {name} dump is not the plain one")
    return checks.digest(text)


def restored(*words):
    """The schema dropped and brought back: dumped again it is what it was."""
    sql("drop schema dumped cascade;")
    _, errors = programs.run(pg_restore, "--no-owner", "--exit-on-error", "-d", checks.database, *words)
    return errors, checks.digest(settled(dump()))


def copy_in():
    return restored(path("custom"))


def restore_parallel():
    return restored("-j", "2", path("directory"))


def restore_whole():
    """In one transaction, over what is there."""
    _, errors = programs.run(
        pg_restore, "--no-owner", "--clean", "--if-exists", "-1", "-d", checks.database, path("tar")
    )
    return errors, checks.digest(settled(dump()))


def plain_through_psql():
    text = programs.run(pg_dump, "--no-owner", "--clean", "-n", "dumped")[0]
    _, errors = programs.run(psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", text=text)
    return errors, checks.digest(settled(dump()))


def large_objects():
    """Restored by libpq's functions for them."""
    number = "4000000000"
    sql(f"select lo_from_bytea({number}, decode(repeat('00ff', 100000), 'hex'));")
    try:
        programs.run(pg_dump, "-Fc", "-b", "-t", "dumped.apart", "-f", path("objects"))
        sql(f"select lo_unlink({number});")
        words = ("--no-owner", "--clean", "--if-exists", "-d", checks.database)
        _, errors = programs.run(pg_restore, *words, path("objects"))
        return errors, sql(f"select md5(lo_get({number}));")
    finally:
        sql("select lo_unlink(oid) from pg_largeobject_metadata;")


def clear():
    shutil.rmtree(folder, ignore_errors=True)
    sql("drop schema if exists dumped cascade;")


def unsupported():
    raise checks.Unsupported("a backup has no use for it")


checks.introduce("pg_dump", programs.version(pg_dump))
checks.run(
    [
        ("connect", session),
        ("copy_out", copy_out),
        ("inserts", inserts),
        ("formats", formats),
        ("copy_in", copy_in),
        ("restore_parallel", restore_parallel),
        ("restore_whole", restore_whole),
        ("plain_through_psql", plain_through_psql),
        ("large_objects", large_objects),
        *((name, unsupported) for name in ("simple", "prepared", "binary", "batch", "transaction")),
        *((name, unsupported) for name in ("cursor", "notify", "cancel", "notices", "many", "errors")),
    ],
    afterwards=clear,
)
