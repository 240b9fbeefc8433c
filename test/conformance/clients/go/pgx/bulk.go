// What comes in bulk: COPY, cursors, large objects, many connections.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"conformance/checks"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func copyIn(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		if _, err := conn.Exec(ctx, "create temporary table loaded (n int, line text)"); err != nil {
			return nil, err
		}
		source := pgx.CopyFromSlice(checks.Rows, func(n int) ([]any, error) {
			return []any{n, fmt.Sprintf("line %d ünï", n)}, nil
		})
		count, err := conn.CopyFrom(ctx, pgx.Identifier{"loaded"}, []string{"n", "line"}, source)
		if err != nil {
			return nil, err
		}
		text := "1\tfine\n" + strings.Repeat("no number\tx\n", 10_000)
		_, failed := conn.PgConn().CopyFrom(ctx, strings.NewReader(text), "copy loaded from stdin")
		_, abandoned := conn.PgConn().CopyFrom(ctx, broken{}, "copy loaded from stdin")
		seen, err := rows(ctx, conn, "select count(*), sum(n), md5(string_agg(line, ',' order by n)) from loaded")
		return []any{count, describe(failed), describe(abandoned), seen}, err
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the source broke") }

func copyOut(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		var received bytes.Buffer
		query := fmt.Sprintf("copy (select n, 'line ünï ' || n from generate_series(1, %d) n) to stdout", checks.Rows)
		tag, err := conn.PgConn().CopyTo(ctx, &received, query)
		if err != nil {
			return nil, err
		}
		_, failed := conn.PgConn().CopyTo(ctx, io.Discard, "copy (select 1/(3-n) from generate_series(1,5) n) to stdout")
		return []any{tag, checks.Digest(strings.Split(received.String(), "\n")), describe(failed), conn.Ping(ctx)}, nil
	})
}

func cursor(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		within, err := conn.Begin(ctx)
		if err != nil {
			return nil, err
		}
		defer within.Rollback(ctx)
		if _, err := conn.Exec(ctx, "declare parts cursor for select n from generate_series(1, 10000) n"); err != nil {
			return nil, err
		}
		var all []string
		for {
			part, err := rows(ctx, conn, "fetch 500 from parts")
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

func many(ctx context.Context) (any, error) {
	pool, err := pgxpool.New(ctx, checks.URL("pool_max_conns", "10"))
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	pids := map[uint32]bool{}
	var seen []int
	var held []*pgxpool.Conn
	for n := range 10 {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		held = append(held, conn)
		pids[conn.Conn().PgConn().PID()] = true
		var twice int
		if err := conn.QueryRow(ctx, "select $1::int * 2", n).Scan(&twice); err != nil {
			return nil, err
		}
		seen = append(seen, twice)
	}
	for _, conn := range held {
		conn.Release()
	}
	return []any{seen, len(pids)}, nil
}

func largeObjects(ctx context.Context) (any, error) {
	return withConn(ctx, func(conn *pgx.Conn) (any, error) {
		within, err := conn.Begin(ctx)
		if err != nil {
			return nil, err
		}
		defer within.Rollback(ctx)
		objects := within.LargeObjects()
		oid, err := objects.Create(ctx, 0)
		if err != nil {
			return nil, err
		}
		object, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
		if err != nil {
			return nil, err
		}
		if _, err := object.Write(bytes.Repeat([]byte("0123456789"), 30_000)); err != nil {
			return nil, err
		}
		position, err := object.Seek(995, io.SeekStart)
		if err != nil {
			return nil, err
		}
		part := make([]byte, 10)
		_, err = io.ReadFull(object, part)
		return []any{position, string(part)}, err
	})
}
