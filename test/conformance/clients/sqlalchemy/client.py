"""SQLAlchemy over psycopg 3: what an ORM and its pool send."""

import threading
import time

import checks
import psycopg
import sqlalchemy as sa
from sqlalchemy import orm

url = sa.URL.create("postgresql+psycopg")


def engine(**more):
    return sa.create_engine(url, connect_args=checks.conninfo(), **more)


metadata = sa.MetaData()
batch_table = sa.Table(
    "batch",
    metadata,
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("line", sa.Text),
    prefixes=["TEMPORARY"],
)


def failure(error):
    diag = error.orig.diag
    return (
        type(error).__name__,
        error.orig.sqlstate,
        diag.message_primary,
        diag.message_detail,
        diag.message_hint,
        diag.statement_position,
    )


def session():
    with engine().connect() as connection:
        dialect = connection.dialect
        return (
            dialect.server_version_info,
            dialect.default_schema_name,
            dialect.default_isolation_level,
            connection.get_isolation_level(),
        )


def simple():
    with engine().connect() as connection:
        row = connection.execute(sa.text(checks.SIMPLE.replace(":", "\\:"))).one()
        return tuple(row), sa.inspect(connection).get_table_names()


def prepared():
    with engine().connect() as connection:
        statement = sa.select(sa.bindparam("n", type_=sa.Integer) + 1, sa.bindparam("text", type_=sa.Text))
        return [tuple(connection.execute(statement, {"n": n, "text": f"ünï {n}"}).one()) for n in range(12)]


def binary():
    """Bytes are what SQLAlchemy itself sends in binary."""
    with engine().connect() as connection:
        value = bytes(range(256))
        statement = sa.select(sa.bindparam("bytes", type_=sa.LargeBinary))
        return connection.execute(statement, {"bytes": value}).scalar() == value


def batch():
    with engine().connect() as connection:
        metadata.create_all(connection)
        rows = [{"n": n, "line": checks.line(n)} for n in range(1000)]
        returned = connection.execute(batch_table.insert().returning(batch_table.c.n), rows).all()
        connection.execute(
            sa.update(batch_table).where(batch_table.c.n == sa.bindparam("which")).values(line="changed"),
            [{"which": n} for n in range(10)],
        )
        lines = connection.execute(sa.select(batch_table.c.line).order_by(batch_table.c.n)).scalars()
        return len(returned), checks.digest(lines)


def transaction():
    seen = []
    with engine().connect() as connection:
        metadata.create_all(connection)
        connection.commit()
        with connection.begin():
            connection.execute(batch_table.insert(), {"n": 1, "line": "kept"})
            try:
                with connection.begin_nested():
                    connection.execute(batch_table.insert(), {"n": 1, "line": "again"})
            except sa.exc.IntegrityError as error:
                seen.append(error.orig.sqlstate)
            connection.execute(batch_table.insert(), {"n": 2, "line": "kept"})
        with orm.Session(connection) as work:
            work.execute(batch_table.insert(), {"n": 3, "line": "lost"})
            try:
                work.execute(sa.text("select 1/0"))
            except sa.exc.DataError as error:
                seen.append(error.orig.sqlstate)
            work.rollback()
        rows = connection.execute(sa.select(batch_table).order_by(batch_table.c.n)).all()
        return seen, [tuple(row) for row in rows]


def copy_in():
    raise checks.Unsupported("SQLAlchemy has none; the driver beneath it has")


def cursor():
    with engine().connect() as connection:
        result = connection.execution_options(yield_per=500).execute(
            sa.text("select n from generate_series(1, 10000) n")
        )
        return checks.digest(str(row.n) for row in result)


def notify():
    raise checks.Unsupported("SQLAlchemy has no interface to notifications")


def cancel():
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        began = time.monotonic()
        timer = threading.Timer(0.7, connection.connection.driver_connection.cancel_safe)
        timer.start()
        try:
            connection.execute(sa.text("select pg_sleep(30)"))
        except sa.exc.OperationalError as error:
            checks.within(5, began)
            return failure(error), connection.execute(sa.text("select 'usable'")).scalar()
    raise AssertionError("it was not cancelled")


def notices():
    heard = []
    with engine().connect() as connection:
        connection.connection.driver_connection.add_notice_handler(
            lambda diag: heard.append((diag.severity, diag.message_primary, diag.message_detail))
        )
        connection.execute(sa.text("select speak(:what)"), {"what": "ünï"})
        return heard


def many():
    """Ten threads on a pool of ten, each with three logins' worth of work."""
    pool = engine(pool_size=10, pool_pre_ping=True)
    answers, lock = [], threading.Lock()

    def work(n):
        for turn in range(3):
            with pool.connect() as connection:
                value = connection.execute(sa.text("select :n * 2 from pg_sleep(0.05)"), {"n": n}).scalar()
                with lock:
                    answers.append((n, turn, value))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    pool.dispose()
    return sorted(answers)


def fails():
    seen = []
    with engine().connect() as connection:
        metadata.create_all(connection)
        connection.execute(batch_table.insert(), {"n": 1, "line": "first"})
        connection.commit()
        for statement in (
            batch_table.insert().values(n=1, line="again"),
            sa.text("select 'ünï' from batch whre true"),
            sa.text("select nothing from batch"),
        ):
            try:
                connection.execute(statement)
            except sa.exc.DBAPIError as error:
                seen.append(failure(error))
            connection.rollback()
    return seen


def large_objects():
    raise checks.Unsupported("SQLAlchemy has no interface to them")


checks.introduce("sqlalchemy", f"{sa.__version__} psycopg {psycopg.__version__}")
checks.run(
    [
        ("connect", session),
        ("simple", simple),
        ("prepared", prepared),
        ("binary", binary),
        ("batch", batch),
        ("transaction", transaction),
        ("copy_in", copy_in),
        ("copy_out", copy_in),
        ("cursor", cursor),
        ("notify", notify),
        ("cancel", cancel),
        ("notices", notices),
        ("many", many),
        ("errors", fails),
        ("large_objects", large_objects),
    ]
)
