"""psycopg2: libpq's simple protocol, with parameters written into the text by the driver."""

import io
import select
import threading
import time

import checks
import psycopg2
import psycopg2.extensions
import psycopg2.extras
from psycopg2 import errors


def connect(**more):
    return psycopg2.connect(**(checks.conninfo() | more))


def session():
    with connect(application_name="conformance ünï", options="-c work_mem=5MB") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select current_setting('application_name'), current_setting('work_mem')")
            row = cursor.fetchone()
            cursor.execute("select pg_backend_pid()")
            own_pid = cursor.fetchone()[0] == connection.get_backend_pid()
        parameters = ["server_version", "client_encoding", "DateStyle", "standard_conforming_strings"]
        seen = [connection.get_parameter_status(name) for name in parameters]
        return row, own_pid, seen, connection.info.ssl_in_use, connection.info.server_version


def simple():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(checks.SIMPLE)
        row = [bytes(value) if isinstance(value, memoryview) else value for value in cursor.fetchone()]
        kinds = [column.type_code for column in cursor.description]
        cursor.execute("select 1; select 2 where false; select 'last'")
        return row, kinds, cursor.fetchall(), cursor.statusmessage


def prepared():
    """By SQL: the driver has no protocol-level statements."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("prepare addition(int, text) as select $1 + 1, $2 || '!'")
        rows = []
        for n in range(5):
            cursor.execute("execute addition(%s, %s)", (n, f"ünï {n}"))
            rows += cursor.fetchall()
        cursor.execute("deallocate addition")
        return rows


def binary():
    raise checks.Unsupported("results and parameters are always text")


def batch():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table batch (n int, line text)")
        rows = [(n, checks.line(n)) for n in range(500)]
        cursor.executemany("insert into batch values (%s, %s)", rows[:100])
        psycopg2.extras.execute_batch(cursor, "insert into batch values (%s, %s)", rows[100:300])
        psycopg2.extras.execute_values(cursor, "insert into batch values %s", rows[300:])
        cursor.execute("select line from batch order by n")
        return checks.digest(row[0] for row in cursor.fetchall())


def transaction():
    connection = connect()
    seen = []
    with connection.cursor() as cursor:
        cursor.execute("create temporary table steps (n int) on commit preserve rows")
        connection.commit()
        cursor.execute("insert into steps values (1)")
        cursor.execute("savepoint here")
        for text in ("select 1/0", "select 1"):
            try:
                cursor.execute(text)
            except psycopg2.Error as error:
                seen.append((error.pgcode, connection.info.transaction_status))
        cursor.execute("rollback to savepoint here")
        cursor.execute("insert into steps values (2)")
        connection.commit()
        cursor.execute("insert into steps values (3)")
        connection.rollback()
        cursor.execute("select n from steps order by n")
        seen.append(cursor.fetchall())
    connection.rollback()
    seen.append(connection.info.transaction_status)
    connection.close()
    return seen


def copy_in():
    text = io.StringIO("".join(f"{n}\tline {n} ünï\n" for n in range(checks.ROWS)))
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table loaded (n int, line text)")
        cursor.copy_expert("copy loaded from stdin", text)
        status = cursor.statusmessage
        cursor.execute("select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded")
        row = cursor.fetchone()
        cursor.execute("savepoint here")
        try:
            cursor.copy_expert("copy loaded from stdin", io.StringIO("1\tfine\nno number\tx\n"))
        except psycopg2.Error as error:
            cursor.execute("rollback to savepoint here")
            return status, row, error.pgcode, error.diag.context
    raise AssertionError("an error was expected")


def copy_out():
    received = io.BytesIO()
    with connect() as connection, connection.cursor() as cursor:
        query = f"select n, 'line ünï ' || n from generate_series(1, {checks.ROWS}) n"
        cursor.copy_expert(f"copy ({query}) to stdout", received)
        return cursor.statusmessage, checks.digest(received.getvalue().splitlines())


def cursor():
    with connect() as connection, connection.cursor(name="parts") as named:
        named.itersize = 500
        named.execute("select n from generate_series(1, 10000) n")
        return checks.digest(str(row[0]) for row in named)


def notify():
    listener, speaker = connect(), connect()
    listener.autocommit = speaker.autocommit = True
    listener.cursor().execute("listen conformance_psycopg2")
    speaker.cursor().execute("notify conformance_psycopg2, 'to another ünï'")
    listener.cursor().execute("notify conformance_psycopg2, 'to itself'")
    own = {speaker.get_backend_pid(): "speaker", listener.get_backend_pid(): "listener"}
    began = time.monotonic()
    while len(listener.notifies) < 2:
        checks.within(5, began)
        select.select([listener], [], [], 1)
        listener.poll()
    return [(each.channel, each.payload, own.get(each.pid)) for each in listener.notifies]


def cancel():
    connection = connect()
    connection.autocommit = True
    began = time.monotonic()
    threading.Timer(1, connection.cancel).start()
    with connection.cursor() as cursor:
        try:
            cursor.execute("select pg_sleep(30)")
        except errors.QueryCanceled as error:
            checks.within(5, began)
            cursor.execute("select 'usable'")
            return error.pgcode, error.diag.message_primary, cursor.fetchone()
    raise AssertionError("it was not cancelled")


def notices():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("do $$ begin raise notice 'a notice ünï'; raise warning 'a warning'; end $$")
        cursor.execute("select speak('psycopg2')")
        return connection.notices


def many():
    connections = [connect() for _ in range(10)]
    answers = []
    for n, connection in enumerate(connections):
        with connection.cursor() as each:
            each.execute("select %s * 2", (n,))
            answers += each.fetchall()
    pids = {connection.get_backend_pid() for connection in connections}
    for connection in connections:
        connection.close()
    return answers, len(pids)


def fails():
    seen = []
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("create temporary table things (id int constraint one_id primary key)")
        cursor.execute("insert into things values (1)")
        connection.commit()
        for text in (
            "insert into things values (1)",
            "select ünï from things whre true",
            "select nothing from things",
            "do $$ begin raise exception 'own' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$",
        ):
            try:
                cursor.execute(text)
            except psycopg2.Error as error:
                diag = error.diag
                seen.append(
                    [
                        type(error).__name__,
                        error.pgcode,
                        diag.severity,
                        diag.message_primary,
                        diag.message_detail,
                        diag.message_hint,
                        diag.statement_position,
                        diag.constraint_name,
                        diag.table_name,
                    ]
                )
            connection.rollback()
    connection.close()
    return seen


def large_objects():
    with connect() as connection:
        content = bytes(range(256)) * 4000
        new = connection.lobject(0, "wb")
        new.write(content)
        new.close()
        again = connection.lobject(new.oid, "rb")
        again.seek(1000)
        part, rest = again.read(10), again.read()
        position = again.tell()
        again.close()
        connection.lobject(new.oid, "n").unlink()
        connection.commit()
        return part, checks.digest([rest]), position


checks.introduce("psycopg2", f"{psycopg2.__version__} libpq {psycopg2.extensions.libpq_version()}")
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
    ]
)
