// lib/pq under Go's database/sql: text, statements prepared for one use.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"conformance/checks"

	"github.com/lib/pq"
)

func main() {
	checks.Run("lib/pq", "github.com/lib/pq", []checks.Check{
		{Name: "connect", Work: connects},
		{Name: "simple", Work: simple},
		{Name: "prepared", Work: prepared},
		{Name: "binary", Work: binary},
		{Name: "batch", Work: batch},
		{Name: "transaction", Work: transaction},
		{Name: "copy_in", Work: copyIn},
		{Name: "copy_out", Work: copyOut},
		{Name: "cursor", Work: cursor},
		{Name: "notify", Work: notify},
		{Name: "cancel", Work: cancel},
		{Name: "notices", Work: notices},
		{Name: "many", Work: many},
		{Name: "errors", Work: fails},
		{Name: "large_objects", Work: largeObjects},
	})
}

// withConn runs `work` on a connection of its own.
func withConn(ctx context.Context, work func(*sql.Conn) (any, error), more ...string) (any, error) {
	pool, err := sql.Open("postgres", checks.URL(more...))
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return work(conn)
}

type querier interface {
	QueryContext(ctx context.Context, text string, arguments ...any) (*sql.Rows, error)
}

func rows(ctx context.Context, on querier, text string, arguments ...any) ([]string, error) {
	result, err := on.QueryContext(ctx, text, arguments...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	return read(result)
}

func read(result *sql.Rows) ([]string, error) {
	columns, err := result.Columns()
	if err != nil {
		return nil, err
	}
	var all []string
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	for n := range values {
		pointers[n] = &values[n]
	}
	for result.Next() {
		if err := result.Scan(pointers...); err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprint(values))
	}
	return all, result.Err()
}

func describe(err error) string {
	var failed *pq.Error
	if !errors.As(err, &failed) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%q", []string{string(failed.Code), failed.Severity, failed.Message, failed.Detail,
		failed.Hint, failed.Position, failed.Constraint})
}

func connects(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		seen, err := rows(ctx, conn, "select current_setting('application_name'), current_setting('work_mem')")
		if err != nil {
			return nil, err
		}
		return []any{seen, conn.PingContext(ctx)}, nil
	}, "application_name", "conformance", "work_mem", "5MB")
}

func simple(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		seen, err := rows(ctx, conn, checks.Simple)
		if err != nil {
			return nil, err
		}
		result, err := conn.QueryContext(ctx, "select 1; select 2 where false; select 'last'")
		if err != nil {
			return nil, err
		}
		defer result.Close()
		for more := true; more; more = result.NextResultSet() {
			part, err := read(result)
			if err != nil {
				return nil, err
			}
			seen = append(seen, fmt.Sprint(part))
		}
		return seen, nil
	})
}

func prepared(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		statement, err := conn.PrepareContext(ctx, "select $1::int + 1, $2::text, $3::text[], $4::bytea")
		if err != nil {
			return nil, err
		}
		defer statement.Close()
		var all []string
		for n := range 5 {
			text := sql.NullString{String: fmt.Sprint("ünï ", n), Valid: n%2 == 0}
			result, err := statement.QueryContext(ctx, n, text, pq.Array([]string{"a", `"`}), []byte{0, 255})
			if err != nil {
				return nil, err
			}
			seen, err := read(result)
			if err != nil {
				return nil, err
			}
			all = append(all, seen...)
		}
		return all, nil
	})
}

func binary(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		return rows(ctx, conn, "select $1::bytea, $2::int8, 'ünï'::text", []byte{0, 1, 255}, 7)
	}, "binary_parameters", "yes")
}

func batch(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		setup := "create temporary table batch (n int, line text); insert into batch values (-1, 'first')"
		if _, err := conn.ExecContext(ctx, setup); err != nil {
			return nil, err
		}
		var places []string
		var values []any
		for n := range 500 {
			places = append(places, fmt.Sprintf("($%d, $%d)", 2*n+1, 2*n+2))
			values = append(values, n, checks.Line(n))
		}
		done, err := conn.ExecContext(ctx, "insert into batch values "+strings.Join(places, ", "), values...)
		if err != nil {
			return nil, err
		}
		count, _ := done.RowsAffected()
		seen, err := rows(ctx, conn, "select line from batch order by n")
		return []any{count, checks.Digest(seen)}, err
	})
}

func transaction(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		var seen []string
		if _, err := conn.ExecContext(ctx, "create temporary table steps (n int)"); err != nil {
			return nil, err
		}
		own, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			return nil, err
		}
		for _, text := range []string{"savepoint here", "insert into steps values (1)", "select 1/0", "select 1",
			"rollback to savepoint here", "insert into steps values (2)"} {
			_, err := own.ExecContext(ctx, text)
			seen = append(seen, describe(err))
		}
		seen = append(seen, describe(own.Commit()))
		failed, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		_, err = failed.ExecContext(ctx, "select 1/$1::int", 0)
		seen = append(seen, describe(err), describe(failed.Commit()))
		left, err := rows(ctx, conn, "select n from steps order by n")
		return []any{seen, left}, err
	})
}

func copyIn(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		if _, err := conn.ExecContext(ctx, "create temporary table loaded (n int, line text)"); err != nil {
			return nil, err
		}
		load := func(count int, number func(int) any) error {
			own, err := conn.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer own.Rollback()
			statement, err := own.PrepareContext(ctx, pq.CopyIn("loaded", "n", "line"))
			if err != nil {
				return err
			}
			for n := range count {
				if _, err := statement.ExecContext(ctx, number(n), fmt.Sprintf("line %d ünï", n)); err != nil {
					return err
				}
			}
			if _, err := statement.ExecContext(ctx); err != nil {
				return err
			}
			return errors.Join(statement.Close(), own.Commit())
		}
		if err := load(checks.Rows, func(n int) any { return n }); err != nil {
			return nil, err
		}
		failed := load(2, func(int) any { return "no number" })
		seen, err := rows(ctx, conn, "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded")
		return []any{describe(failed), seen}, err
	})
}

func copyOut(context.Context) (any, error) {
	return nil, checks.Unsupported("the driver has no COPY TO STDOUT")
}

func cursor(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		own, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer own.Rollback()
		if _, err := own.ExecContext(ctx, "declare parts cursor for select n from generate_series(1, 10000) n"); err != nil {
			return nil, err
		}
		var all []string
		for {
			part, err := rows(ctx, own, "fetch 500 from parts")
			if err != nil {
				return nil, err
			}
			if len(part) == 0 {
				return checks.Digest(all), nil
			}
			all = append(all, part...)
		}
	})
}

func notify(ctx context.Context) (any, error) {
	listener := pq.NewListener(checks.URL(), time.Second, time.Second, nil)
	defer listener.Close()
	if err := listener.Listen("conformance_lib_pq"); err != nil {
		return nil, err
	}
	return withConn(ctx, func(speaker *sql.Conn) (any, error) {
		var pid int
		if err := speaker.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
			return nil, err
		}
		if _, err := speaker.ExecContext(ctx, "notify conformance_lib_pq, 'to another ünï'"); err != nil {
			return nil, err
		}
		select {
		case heard := <-listener.Notify:
			return []any{heard.Channel, heard.Extra, heard.BePid == pid, listener.Ping()}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// cancel: the driver sends a CancelRequest when the context ends, and gives the session up.
func cancel(ctx context.Context) (any, error) {
	pool, err := sql.Open("postgres", checks.URL())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	began := time.Now()
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	_, failed := pool.ExecContext(short, "select pg_sleep(30)")
	if took := time.Since(began); took > 6*time.Second {
		return nil, fmt.Errorf("took %s", took)
	}
	seen, err := rows(ctx, pool, "select 'usable'")
	return []any{describe(failed), seen}, err
}

func notices(ctx context.Context) (any, error) {
	connector, err := pq.NewConnector(checks.URL())
	if err != nil {
		return nil, err
	}
	var seen []string
	pool := sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) {
		seen = append(seen, describe(notice))
	}))
	defer pool.Close()
	_, err = pool.ExecContext(ctx, "do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
	if err == nil {
		_, err = pool.ExecContext(ctx, "select speak($1)", "lib/pq")
	}
	return seen, err
}

func many(ctx context.Context) (any, error) {
	pool, err := sql.Open("postgres", checks.URL())
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	pids := map[int]bool{}
	var seen []int
	for n := range 10 {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		var twice, pid int
		if err := conn.QueryRowContext(ctx, "select $1::int * 2, pg_backend_pid()", n).Scan(&twice, &pid); err != nil {
			return nil, err
		}
		seen, pids[pid] = append(seen, twice), true
	}
	return []any{seen, len(pids)}, nil
}

func fails(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *sql.Conn) (any, error) {
		setup := "create temporary table things (id int constraint one_id primary key); insert into things values (1)"
		if _, err := conn.ExecContext(ctx, setup); err != nil {
			return nil, err
		}
		var seen []string
		for _, text := range checks.Failing {
			_, err := conn.ExecContext(ctx, text)
			seen = append(seen, describe(err))
			statement, err := conn.PrepareContext(ctx, text)
			if err == nil {
				_, err = statement.ExecContext(ctx)
			}
			seen = append(seen, describe(err))
		}
		return seen, nil
	})
}

func largeObjects(context.Context) (any, error) {
	return nil, checks.Unsupported("the driver has no interface to them")
}
