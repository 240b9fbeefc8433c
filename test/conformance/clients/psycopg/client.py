"""psycopg 3: libpq's extended protocol, binary, pipeline mode, server-side cursors, and asyncio."""

import asyncio
import threading
import time

import checks
import psycopg
from psycopg import pq, sql
from psycopg.rows import dict_row


def connect(**more):
    return psycopg.connect(**(checks.conninfo() | more))


def session():
    with connect(application_name="conformance ünï", options="-c work_mem=5MB") as connection:
        row = connection.execute(
            "select current_setting('application_name'), current_setting('work_mem'), pg_backend_pid()"
        ).fetchone()
        info = connection.info
        return (
            row[:2],
            row[2] == info.backend_pid,
            info.encoding,
            info.server_version,
            info.timezone.key,
            info.pipeline_status.name,
            sorted(info.get_parameters())[:2],
            connection.pgconn.ssl_in_use,
        )


def simple():
    with connect() as connection:
        row = connection.execute(checks.SIMPLE).fetchone()
        several = connection.execute("select 1; select 2 where false; select 'last'")
        sets = [(several.statusmessage, several.fetchall())]
        while several.nextset():
            sets.append((several.statusmessage, several.fetchall()))
        # psycopg.ClientCursor sends the text whole, as psycopg2 does.
        with psycopg.ClientCursor(connection) as cursor:
            cursor.execute("select %s, %s", ("it's ünï", None))
            return row, sets, cursor.fetchall(), connection.execute("").statusmessage


def prepared():
    with connect(prepare_threshold=2) as connection:
        rows = []
        for n in range(8):
            rows += connection.execute("select %s::int + 1, %s || '!'", (n, f"ünï {n}")).fetchall()
        names = connection.execute(
            "select count(*) from pg_prepared_statements where not from_sql"
        ).fetchone()
        connection.execute("create temporary table late (n int)", prepare=True)
        connection.execute("select * from late", prepare=True)
        connection.execute("alter table late add m int")
        try:
            connection.execute("select * from late", prepare=True)
        except psycopg.Error as error:
            rows.append((error.sqlstate, error.diag.message_primary))
        connection.rollback()
        # Statements that are no longer wanted are closed by Close, not by DEALLOCATE.
        connection.prepared_max = 1
        for n in range(5):
            connection.execute(f"select {n}, %s::int", (n,), prepare=True)
        left = connection.execute("select count(*) from pg_prepared_statements").fetchone()
        return rows, names, left


def binary():
    with connect() as connection, connection.cursor(binary=True) as cursor:
        row = cursor.execute(checks.SIMPLE).fetchone()
        parameters = (7, b"\x00\xff", "ünï", 2.5, None, [1, 2])
        cursor.execute("select %b::int, %b::bytea, %b::text, %b::float8, %b::int, %b::int[]", parameters)
        return row, cursor.fetchone(), cursor.pgresult.fformat(0)


def batch():
    with connect() as connection:
        connection.execute("create temporary table batch (n int primary key, line text)")
        with connection.pipeline() as pipeline, connection.cursor() as cursor:
            cursor.executemany(
                "insert into batch values (%s, %s)", [(n, checks.line(n)) for n in range(1000)]
            )
            pipeline.sync()
            counted = connection.execute("select count(*) from batch")
            pipeline.sync()
            count = counted.fetchone()
        connection.commit()
        seen = []
        try:
            with connection.pipeline():
                connection.execute("insert into batch values (2000, 'x')")
                connection.execute("insert into batch values (1, 'again')")
                connection.execute("insert into batch values (2001, 'x')")
        except psycopg.Error as error:
            seen.append((error.sqlstate, error.diag.message_primary))
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into batch values (%s, %s) returning n",
                [(n, "more") for n in range(3000, 3005)],
                returning=True,
            )
            seen += [result.fetchone() for result in cursor.results()]
            cursor.execute("select line from batch order by n")
            return count, seen, checks.digest(row[0] for row in cursor)


def transaction():
    seen = []
    with connect() as connection:
        connection.execute("create temporary table steps (n int) on commit preserve rows")
        connection.commit()
        with connection.transaction():
            connection.execute("insert into steps values (1)")
            try:
                with connection.transaction("inner"):
                    connection.execute("insert into steps values (2)")
                    connection.execute("select 1/0")
            except psycopg.errors.DivisionByZero as error:
                seen.append((error.sqlstate, connection.info.transaction_status.name))
            connection.execute("insert into steps values (3)")
        for text in ("select nothing", "select 1"):
            try:
                connection.execute(text)
            except psycopg.Error as error:
                seen.append((error.sqlstate, connection.info.transaction_status.name))
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.read_only = True
        try:
            connection.execute("create table never (n int)")
        except psycopg.Error as error:
            seen.append((error.sqlstate, error.diag.message_primary))
        connection.rollback()
        rows = connection.execute("select n from steps order by n").fetchall()
        connection.rollback()
        return seen, rows, connection.info.transaction_status.name


def copy_in():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table loaded (n int, line text)")
        with cursor.copy("copy loaded from stdin") as copy:
            for n in range(checks.ROWS):
                copy.write(f"{n}\tline {n} ünï\n")
        statuses = [cursor.statusmessage]
        with cursor.copy("copy loaded from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            for n in range(1000):
                copy.write_row((-n, None))
        statuses.append(cursor.statusmessage)
        row = cursor.execute(
            "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded"
        ).fetchone()
        connection.commit()
        for wrong in (b"1\tfine\nno number\tx\n" * 20000, RuntimeError("the client gives up")):
            try:
                with cursor.copy("copy loaded from stdin") as copy:
                    if isinstance(wrong, Exception):
                        copy.write(b"1\tfine\n")
                        raise wrong
                    copy.write(wrong)
            except psycopg.Error as error:
                statuses.append((error.sqlstate, error.diag.message_primary))
            except RuntimeError as error:
                statuses.append(str(error))
            connection.rollback()
        return statuses, row, cursor.execute("select count(*) from loaded").fetchone()


def copy_out():
    query = f"select n, 'line ünï ' || n from generate_series(1, {checks.ROWS}) n"
    with connect() as connection, connection.cursor() as cursor:
        with cursor.copy(f"copy ({query}) to stdout") as copy:
            text = checks.digest(bytes(block) for block in copy)
        status = cursor.statusmessage
        with cursor.copy(f"copy ({query} limit 1000) to stdout (format binary)") as copy:
            copy.set_types(["int4", "text"])
            rows = checks.digest(repr(row) for row in copy.rows())
        # Given up in the middle, which psycopg does by a cancel.
        try:
            with cursor.copy(f"copy ({query}) to stdout") as copy:
                first = copy.read()
                raise RuntimeError(f"enough after {bytes(first)}")
        except RuntimeError as error:
            given_up = str(error)
        connection.rollback()
        return text, status, rows, given_up, connection.execute("select 'usable'").fetchone()


def cursor():
    with connect() as connection:
        with connection.cursor(name="parts", scrollable=True) as named:
            named.itersize = 500
            named.execute("select n from generate_series(1, 10000) n where n <> %s", (5000,))
            rows = checks.digest(str(row[0]) for row in named)
            named.scroll(4998, mode="absolute")
            at = named.fetchmany(3)
        with connection.cursor() as cursor:
            streamed = checks.digest(
                str(row[0]) for row in cursor.stream("select generate_series(1, 10000)")
            )
            chunks = checks.digest(
                str(row[0]) for row in cursor.stream("select generate_series(1, 10000)", size=300)
            )
        return rows, at, streamed, chunks


def notify():
    with connect(autocommit=True) as listener, connect(autocommit=True) as speaker:
        listener.execute("listen conformance_psycopg")
        speaker.execute("select pg_notify('conformance_psycopg', %s)", ("to another ünï",))
        speaker.execute("notify conformance_psycopg, 'again'")
        own = {speaker.info.backend_pid: "speaker"}
        heard = listener.notifies(timeout=5, stop_after=2)
        return [(each.channel, each.payload, own.get(each.pid)) for each in heard]


def cancel():
    seen = []
    with connect(autocommit=True) as connection:
        for way in (connection.cancel_safe, connection.cancel):
            began = time.monotonic()
            timer = threading.Timer(0.7, way)
            timer.start()
            try:
                connection.execute("select pg_sleep(30)")
                raise AssertionError("it was not cancelled")
            except psycopg.errors.QueryCanceled as error:
                checks.within(5, began)
                seen.append((error.sqlstate, error.diag.message_primary))
            timer.join()
            seen.append(connection.execute("select 'usable'").fetchone())
    return seen


def notices():
    heard = []
    with connect(autocommit=True) as connection:
        connection.add_notice_handler(
            lambda diag: heard.append(
                (diag.severity, diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)
            )
        )
        connection.execute("do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
        connection.execute("select speak(%s)", ("psycopg",), prepare=True)
        return heard


def many():
    async def one(n):
        async with await psycopg.AsyncConnection.connect(**checks.conninfo()) as connection:
            answer = await connection.execute("select %s * 2, pg_sleep(0.2)", (n,))
            return (await answer.fetchone())[0], connection.info.backend_pid

    async def all_of_them():
        return await asyncio.gather(*(one(n) for n in range(10)))

    answers = asyncio.run(all_of_them())
    return [value for value, _ in answers], len({pid for _, pid in answers})


def fails():
    seen = []
    with connect(autocommit=True) as connection:
        connection.execute("create temporary table things (id int constraint one_id primary key)")
        connection.execute("insert into things values (1)")
        for text, parameters in (
            ("insert into things values (%s)", (1,)),
            ("select 'ünï' from things whre true", None),
            ("select nothing from things where id = %s", (1,)),
            ("select %s::int", ("no number",)),
            ("do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$", None),
            ("select %s::int / 0", (1,)),
        ):
            try:
                connection.execute(text, parameters)
            except psycopg.Error as error:
                diag = error.diag
                seen.append(
                    (
                        type(error).__name__,
                        error.sqlstate,
                        diag.severity_nonlocalized,
                        diag.message_primary,
                        diag.message_detail,
                        diag.message_hint,
                        diag.statement_position,
                        diag.constraint_name,
                        diag.context,
                    )
                )
        return seen, connection.cursor(row_factory=dict_row).execute("select 1 as n").fetchone()


def large_objects():
    raise checks.Unsupported("psycopg 3 has no interface to them")


def asyncio_session():
    async def work():
        async with await psycopg.AsyncConnection.connect(
            **checks.conninfo(), autocommit=True
        ) as connection:
            task = asyncio.create_task(connection.execute("select pg_sleep(30)"))
            await asyncio.sleep(0.5)
            # Cancelling the task makes psycopg cancel the query.
            task.cancel()
            outcome = await asyncio.gather(task, return_exceptions=True)
            async with connection.pipeline():
                cursors = [await connection.execute("select %s::int", (n,)) for n in range(50)]
                rows = [(await each.fetchone())[0] for each in cursors]
            return type(outcome[0]).__name__, sum(rows)

    return asyncio.run(work())


def direct_tls():
    """TLS without asking, as PostgreSQL 17 and later accept it."""
    if not checks.tls:
        raise checks.Unsupported("only in TLS")
    with connect(sslnegotiation="direct") as connection:
        return connection.execute("select 'in TLS'").fetchone(), connection.pgconn.ssl_in_use


def channel_binding():
    """SCRAM-SHA-256-PLUS or nothing."""
    if not checks.tls:
        raise checks.Unsupported("only in TLS")
    with connect(channel_binding="require") as connection:
        return connection.execute("select 1").fetchone()


def scram():
    """Refuses to give the password to a server that only asks for it."""
    with connect(require_auth="scram-sha-256") as connection:
        return connection.execute("select 1").fetchone()


def protocol_latest():
    """Protocol 3.2, with its longer cancel keys."""
    with connect(min_protocol_version="3.2", autocommit=True) as connection:
        timer = threading.Timer(0.7, connection.cancel_safe)
        timer.start()
        try:
            connection.execute("select pg_sleep(30)")
        except psycopg.errors.QueryCanceled as error:
            return error.sqlstate, connection.pgconn.full_protocol_version
    raise AssertionError("it was not cancelled")


checks.introduce("psycopg", f"{psycopg.__version__} libpq {pq.version_pretty(pq.version())}")
checks.run(
    [
        ("connect", session),
        ("simple", simple),
        ("prepared", prepared),
        ("binary", binary),
        ("batch", batch),
        ("transaction", transaction),
        ("copy_in", copy_in),
        ("copy_out", copy_out),
        ("cursor", cursor),
        ("notify", notify),
        ("cancel", cancel),
        ("notices", notices),
        ("many", many),
        ("errors", fails),
        ("large_objects", large_objects),
        ("asyncio", asyncio_session),
        ("direct_tls", direct_tls),
        ("scram", scram),
        ("channel_binding", channel_binding),
        ("protocol_latest", protocol_latest),
    ]
)
