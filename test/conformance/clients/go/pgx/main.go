// pgx, with its own interface: binary wherever it can, statements prepared and cached by itself.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"conformance/checks"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func main() {
	checks.Run("pgx", "github.com/jackc/pgx/v5", []checks.Check{
		{Name: "connect", Work: connects},
		{Name: "simple", Work: simple},
		{Name: "prepared", Work: prepared},
		{Name: "binary", Work: binary},
		{Name: "batch", Work: batch},
		{Name: "pipeline", Work: pipeline},
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
		{Name: "direct_tls", Work: directTLS},
	})
}

// withConn runs `work` on a connection of its own.
func withConn(ctx context.Context, work func(*pgx.Conn) (any, error), more ...string) (any, error) {
	conn, err := pgx.Connect(ctx, checks.URL(more...))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return work(conn)
}

func rows(ctx context.Context, conn *pgx.Conn, text string, arguments ...any) ([]string, error) {
	result, err := conn.Query(ctx, text, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(result, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return fmt.Sprint(values...), err
	})
}

func describe(err error) string {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%v", []any{failed.Code, failed.Severity, failed.Message, failed.Detail, failed.Hint,
		failed.Position, failed.ConstraintName})
}

func connects(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		seen, err := rows(ctx, conn, "select current_setting('application_name'), current_setting('work_mem')")
		if err != nil {
			return nil, err
		}
		var pid uint32
		err = conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid)
		for _, name := range []string{"server_version", "client_encoding", "standard_conforming_strings"} {
			seen = append(seen, conn.PgConn().ParameterStatus(name))
		}
		return []any{seen, pid == conn.PgConn().PID(), conn.Ping(ctx)}, err
	}, "application_name", "conformance", "work_mem", "5MB")
}

func simple(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		seen, err := rows(ctx, conn, checks.Simple, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return nil, err
		}
		several, err := conn.PgConn().Exec(ctx, "select 1; select 2 where false; select 'last'").ReadAll()
		for _, each := range several {
			seen = append(seen, fmt.Sprintf("%s %q", each.CommandTag, each.Rows))
		}
		return seen, err
	})
}

func prepared(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		var all []string
		described, err := conn.Prepare(ctx, "every", "select $1::int + 1, $2::text, $3::text[], $4::timestamptz")
		if err != nil {
			return nil, err
		}
		for n := range 5 {
			text := new(string)
			if *text = fmt.Sprint("ünï ", n); n%2 == 1 {
				text = nil
			}
			list, at := []string{"a", `"`}, time.Unix(86400*int64(n), 0)
			seen, err := rows(ctx, conn, "every", n, text, list, at.UTC())
			if err != nil {
				return nil, err
			}
			all = append(all, seen...)
		}
		// In each of its modes: text and binary, with and without a name, described first or not.
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
			pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			seen, err := rows(ctx, conn, "select $1::text || '\\', $2::int", mode, "ünï", 7)
			if err != nil {
				return nil, err
			}
			all = append(all, seen...)
		}
		return []any{all, described.ParamOIDs}, conn.Deallocate(ctx, "every")
	})
}

func binary(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		seen, err := rows(ctx, conn, checks.Simple)
		if err != nil {
			return nil, err
		}
		large := bytes.Repeat([]byte{0, 1, 255}, 1_000_000)
		var back []byte
		err = conn.QueryRow(ctx, "select $1::bytea", large).Scan(&back)
		return []any{seen, bytes.Equal(large, back)}, err
	})
}

func batch(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		if _, err := conn.Exec(ctx, "create temporary table batch (n int, line text)"); err != nil {
			return nil, err
		}
		inserts := &pgx.Batch{}
		for n := range 500 {
			inserts.Queue("insert into batch values ($1, $2)", n, checks.Line(n))
		}
		if err := conn.SendBatch(ctx, inserts).Close(); err != nil {
			return nil, err
		}
		// One implicit transaction: the insert before the error goes with it.
		failing := &pgx.Batch{}
		for _, text := range []string{"insert into batch values (-1)", "select 1/0", "select 1"} {
			failing.Queue(text)
		}
		failed := describe(conn.SendBatch(ctx, failing).Close())
		seen, err := rows(ctx, conn, "select line from batch order by n")
		return []any{failed, checks.Digest(seen)}, err
	})
}

// pipeline flushes without a sync, and reads what has come before it goes on.
func pipeline(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		var seen []string
		pipe := conn.PgConn().StartPipeline(ctx)
		pipe.SendPrepare("one", "select $1::int", nil)
		pipe.SendQueryPrepared("one", [][]byte{[]byte("7")}, nil, nil)
		pipe.SendFlushRequest()
		if err := pipe.Flush(); err != nil {
			return nil, err
		}
		if err := results(pipe, 2, &seen); err != nil {
			return nil, err
		}
		pipe.SendQueryParams("select 1/0", nil, nil, nil, nil)
		pipe.SendQueryParams("select 2", nil, nil, nil, nil)
		if err := pipe.Sync(); err != nil {
			return nil, err
		}
		pipe.SendDeallocate("one")
		pipe.SendQueryParams("select 3", nil, nil, nil, nil)
		if err := pipe.Sync(); err != nil {
			return nil, err
		}
		if err := results(pipe, 5, &seen); err != nil {
			return nil, err
		}
		return seen, pipe.Close()
	})
}

func results(pipe *pgconn.Pipeline, count int, seen *[]string) error {
	for range count {
		result, err := pipe.GetResults()
		reader, isRows := result.(*pgconn.ResultReader)
		switch {
		case isRows:
			read := reader.Read()
			*seen = append(*seen, fmt.Sprintf("%s %q %s", read.CommandTag, read.Rows, describe(read.Err)))
		case err != nil:
			var failed *pgconn.PgError
			if !errors.As(err, &failed) {
				return err
			}
			*seen = append(*seen, describe(err))
		default:
			*seen = append(*seen, fmt.Sprintf("%T", result))
		}
	}
	return nil
}

func transaction(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		var seen []string
		if _, err := conn.Exec(ctx, "create temporary table steps (n int)"); err != nil {
			return nil, err
		}
		outer, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable})
		if err != nil {
			return nil, err
		}
		inner, err := outer.Begin(ctx)
		if err != nil {
			return nil, err
		}
		for _, text := range []string{"insert into steps values (1)", "select 1/0", "select 1"} {
			_, err := inner.Exec(ctx, text)
			seen = append(seen, describe(err)+string(conn.PgConn().TxStatus()))
		}
		seen = append(seen, describe(inner.Rollback(ctx)))
		_, err = outer.Exec(ctx, "insert into steps values (2)")
		seen = append(seen, describe(err), describe(outer.Commit(ctx)))
		failed, err := conn.Begin(ctx)
		if err != nil {
			return nil, err
		}
		_, err = failed.Exec(ctx, "select 1/0")
		seen = append(seen, describe(err), describe(failed.Commit(ctx)))
		left, err := rows(ctx, conn, "select n from steps order by n")
		return []any{seen, left}, err
	})
}

func notify(ctx context.Context) (any, error) {
	return withConn(ctx, func(listener *pgx.Conn) (any, error) {
		return withConn(ctx, func(speaker *pgx.Conn) (any, error) {
			if _, err := listener.Exec(ctx, "listen conformance_pgx"); err != nil {
				return nil, err
			}
			time.AfterFunc(300*time.Millisecond, func() {
				_, _ = speaker.Exec(ctx, "select pg_notify('conformance_pgx', 'to another ünï')")
			})
			heard, err := listener.WaitForNotification(ctx)
			if err != nil {
				return nil, err
			}
			return []any{heard.Channel, heard.Payload, heard.PID == speaker.PgConn().PID()}, nil
		})
	})
}

func cancel(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		began := time.Now()
		time.AfterFunc(time.Second, func() { _ = conn.PgConn().CancelRequest(ctx) })
		_, failed := conn.Exec(ctx, "select pg_sleep(30)")
		if took := time.Since(began); took > 6*time.Second {
			return nil, fmt.Errorf("took %s", took)
		}
		seen, err := rows(ctx, conn, "select 'usable'")
		return []any{describe(failed), seen}, err
	})
}

func notices(ctx context.Context) (any, error) {
	config, err := pgx.ParseConfig(checks.URL())
	if err != nil {
		return nil, err
	}
	var seen []string
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		seen = append(seen, describe((*pgconn.PgError)(notice)))
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "do $$ begin raise notice 'ünï'; raise warning 'a warning'; end $$")
	if err == nil {
		_, err = conn.Exec(ctx, "select speak($1)", "pgx")
	}
	return seen, err
}

func fails(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		setup := "create temporary table things (id int constraint one_id primary key); insert into things values (1)"
		if _, err := conn.PgConn().Exec(ctx, setup).ReadAll(); err != nil {
			return nil, err
		}
		var seen []string
		for _, text := range checks.Failing {
			for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
				_, err := conn.Exec(ctx, text, mode)
				seen = append(seen, describe(err))
			}
		}
		return seen, nil
	})
}

func directTLS(ctx context.Context) (any, error) {
	if checks.Place("TLS") != "on" {
		return nil, checks.Unsupported("without TLS")
	}
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		return rows(ctx, conn, "select 1")
	}, "sslnegotiation", "direct")
}
