"""psqlODBC through pyodbc: what Excel, Tableau and other users of ODBC send."""

import os
import re
import threading
import time

import checks
import pyodbc

driver = os.environ["CONFORMANCE_DRIVER"]
pyodbc.pooling = False


def connect(autocommit=True, **more):
    words = {
        "Driver": driver,
        "Servername": checks.host,
        "Port": checks.port,
        "Database": checks.database,
        "UID": checks.user,
        "PWD": checks.password,
        "SSLmode": "verify-full" if checks.tls else "disable",
        # The driver has no keyword for the certificate; libpq's own words go in here.
        "pqopt": f"{{sslrootcert={checks.ca}}}" if checks.tls else "{connect_timeout=10}",
    } | more
    return pyodbc.connect(";".join(f"{key}={value}" for key, value in words.items()), autocommit=autocommit)


def failure(error):
    state, text = error.args[:2]
    return type(error).__name__, state, re.sub(r"\(\d+\) \(SQL\w+\)$", "", text)


def fails_with(cursor, text, *parameters):
    try:
        cursor.execute(text, *parameters)
    except pyodbc.Error as error:
        return failure(error)
    raise AssertionError("an error was expected")


def session():
    connection = connect(ConnSettings="{set work_mem = '5MB'}")
    names = (pyodbc.SQL_DBMS_NAME, pyodbc.SQL_DBMS_VER, pyodbc.SQL_DRIVER_VER)
    row = connection.execute("select current_setting('work_mem')").fetchone()
    return [connection.getinfo(name) for name in names], tuple(row)


def simple():
    cursor = connect(UseServerSidePrepare=0).cursor()
    row = cursor.execute(checks.SIMPLE).fetchone()
    kinds = [(column[0], column[1].__name__, column[3]) for column in cursor.description]
    cursor.execute("select 1; select 2 where false; select 'last'")
    sets = [[tuple(each) for each in cursor.fetchall()]]
    while cursor.nextset():
        sets.append([tuple(each) for each in cursor.fetchall()])
    return tuple(row), kinds, sets


def prepared():
    seen = []
    for server_side in (0, 1):
        cursor = connect(UseServerSidePrepare=server_side).cursor()
        for n in range(5):
            cursor.execute("select ?::int + 1, ?::text || '!'", n, None if n == 3 else f"ünï {n}")
            seen.append(tuple(cursor.fetchone()))
    return seen


def binary():
    cursor = connect(ByteaAsLongVarBinary=1).cursor()
    value = bytes(range(256))
    cursor.execute("create temporary table bytes (b bytea)")
    cursor.execute("insert into bytes values (?)", pyodbc.Binary(value))
    return cursor.execute("select b from bytes").fetchone()[0] == value


def batch():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("create temporary table batch (n int primary key, line varchar(100))")
    rows = [(n, checks.line(n)) for n in range(500)]
    cursor.executemany("insert into batch values (?, ?)", rows[:250])
    # An array of parameters in one call.
    cursor.fast_executemany = True
    cursor.executemany("insert into batch values (?, ?)", rows[250:])
    lines = cursor.execute("select line from batch order by n").fetchall()
    return checks.digest(line for (line,) in lines)


def transaction():
    """The driver sets a savepoint before each statement, or leaves the failed transaction as it is."""
    seen = []
    for protocol in ("7.4-0", "7.4-1", "7.4-2"):
        connection = connect(autocommit=False, Protocol=protocol)
        cursor = connection.cursor()
        cursor.execute("create temporary table steps (n int) on commit preserve rows")
        connection.commit()
        cursor.execute("insert into steps values (1)")
        seen.append(fails_with(cursor, "select 1/0"))
        try:
            seen.append(tuple(cursor.execute("select count(*) from steps").fetchone()))
        except pyodbc.Error as error:
            seen.append(failure(error))
        connection.rollback()
        cursor.execute("insert into steps values (2)")
        connection.commit()
        seen.append([tuple(row) for row in cursor.execute("select n from steps order by n").fetchall()])
    return seen


def unsupported_copy():
    raise checks.Unsupported("ODBC has no COPY")


def cursor():
    """UseDeclareFetch: the driver declares a cursor and fetches by the hundred."""
    seen = []
    for declare in (0, 1):
        connection = connect(autocommit=False, UseDeclareFetch=declare, Fetch=100)
        rows = connection.execute("select n from generate_series(1, 10000) n")
        first = rows.fetchmany(150)
        seen.append((len(first), checks.digest(str(row[0]) for row in rows)))
        connection.commit()
    return seen


def unsupported_notify():
    raise checks.Unsupported("ODBC has no notifications")


def cancel():
    cursor = connect().cursor()
    began = time.monotonic()
    timer = threading.Timer(0.7, cursor.cancel)
    timer.start()
    seen = fails_with(cursor, "select pg_sleep(30)")
    checks.within(5, began)
    timer.join()
    return seen, tuple(cursor.execute("select 'usable'").fetchone())


def notices():
    cursor = connect().cursor()
    cursor.execute("do $$ begin raise notice 'ünï'; raise warning 'w'; end $$")
    heard = [list(cursor.messages)]
    cursor.execute("select speak(?)", "psqlODBC")
    heard.append(list(cursor.messages))
    return heard


def many():
    connections = [connect() for _ in range(10)]
    answers = [each.execute("select ?::int * 2", n).fetchone()[0] for n, each in enumerate(connections)]
    pids = {each.execute("select pg_backend_pid()").fetchone()[0] for each in connections}
    return answers, len(pids)


def fails():
    cursor = connect().cursor()
    cursor.execute("create temporary table things (id int constraint one_id primary key)")
    cursor.execute("insert into things values (1)")
    return [
        fails_with(cursor, "insert into things values (?)", 1),
        fails_with(cursor, "select 'ünï' from things whre true"),
        fails_with(cursor, "select nothing from things"),
        fails_with(
            cursor,
            "do $$ begin raise exception 'x' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$",
        ),
    ]


def large_objects():
    """A column of the type `lo`: the driver keeps what is in it in a large object."""
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    try:
        cursor.execute("create domain lo as oid")
        connection.commit()
        # The driver looks for the type when it connects.
        again = connect(autocommit=False, ByteaAsLongVarBinary=0)
        work = again.cursor()
        work.execute("create temporary table pictures (picture lo)")
        value = bytes(range(256)) * 1000
        work.setinputsizes([(pyodbc.SQL_LONGVARBINARY, 0, 0)])
        work.execute("insert into pictures values (?)", pyodbc.Binary(value))
        back = work.execute("select picture from pictures").fetchone()[0]
        objects = work.execute("select count(*) from pg_largeobject_metadata").fetchone()[0]
        again.rollback()
        return type(back).__name__, back == value, objects
    finally:
        connection.rollback()
        cursor.execute("drop domain if exists lo")
        connection.commit()


def catalog():
    """The functions by which a tool lists what there is."""
    cursor = connect().cursor()
    cursor.execute("create table public.described (id int primary key, name varchar(20) not null)")
    try:
        return [
            [tuple(row)[1:4] for row in cursor.tables(table="described")],
            [tuple(row)[2:9] for row in cursor.columns(table="described")],
            [tuple(row)[2:6] for row in cursor.primaryKeys(table="described")],
            [tuple(row)[5:9] for row in cursor.statistics(table="described")],
            [tuple(row)[:2] for row in cursor.getTypeInfo()],
            [tuple(row)[2] for row in cursor.procedures(procedure="speak")],
        ]
    finally:
        cursor.execute("drop table public.described")


connection = connect()
version = connection.getinfo(pyodbc.SQL_DRIVER_VER)
connection.close()
checks.introduce("psqlODBC", f"{version} pyodbc {pyodbc.version}")
checks.run(
    [
        ("connect", session),
        ("simple", simple),
        ("prepared", prepared),
        ("binary", binary),
        ("batch", batch),
        ("transaction", transaction),
        ("copy_in", unsupported_copy),
        ("copy_out", unsupported_copy),
        ("cursor", cursor),
        ("notify", unsupported_notify),
        ("cancel", cancel),
        ("notices", notices),
        ("many", many),
        ("errors", fails),
        ("large_objects", large_objects),
        ("catalog", catalog),
    ]
)
