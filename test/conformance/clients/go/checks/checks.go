// Package checks is what the Go clients share: where to connect, the lines to print, a limit for each
// check. Ignorant of the drivers. The contract is in ../../../README.md.
package checks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

const Rows = 100_000

// Simple has every kind of value that a driver decodes by itself.
const Simple = `select 1 as one, 2.50::numeric(10,2) as price, null::text as nothing, 'ünï 😀' as text,
 true as yes, '2024-02-29'::date as day, array[1,null,3] as list, '\x00ff'::bytea as bytes,
 9007199254740993 as large, '{"a": [1]}'::jsonb as json`

// Failing are statements that fail, each in another way, where there is a table `things` with a row 1.
var Failing = []string{
	"insert into things values (1)",
	"select ünï from things whre true",
	"select nothing from things",
	"do $$ begin raise exception 'own' using errcode = 'AB123', detail = 'd', hint = 'h'; end $$",
}

// Unsupported says why the driver cannot do it.
type Unsupported string

func (why Unsupported) Error() string { return string(why) }

type Check struct {
	Name string
	Work func(ctx context.Context) (any, error)
}

func Place(name string) string { return os.Getenv("CONFORMANCE_" + name) }

// URL of the place, with `more` as its parameters: name, value, name, value.
func URL(more ...string) string {
	parameters := url.Values{"connect_timeout": {"10"}, "sslmode": {"disable"}}
	if Place("TLS") == "on" {
		parameters.Set("sslmode", "verify-full")
		parameters.Set("sslrootcert", Place("CA"))
	}
	for n := 0; n < len(more); n += 2 {
		parameters.Set(more[n], more[n+1])
	}
	place := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Place("USER"), Place("PASSWORD")),
		Host:     Place("HOST") + ":" + Place("PORT"),
		Path:     Place("DATABASE"),
		RawQuery: strings.ReplaceAll(parameters.Encode(), "+", "%20"),
	}
	return place.String()
}

// Run prints a line for the client, `module` at the version it was built with, and one for each check.
func Run(client, module string, all []Check) {
	show(struct {
		Client  string `json:"client"`
		Version string `json:"version"`
	}{client, version(module)})
	for _, check := range all {
		type end struct {
			seen any
			err  error
		}
		// Also one that does not listen to its context shall not hold up the others.
		done := make(chan end, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		go func() {
			seen, err := check.Work(ctx)
			done <- end{seen, err}
		}()
		select {
		case end := <-done:
			report(check.Name, end.seen, end.err)
		case <-time.After(30 * time.Second):
			report(check.Name, nil, errors.New("longer than 30 s"))
		}
		cancel()
	}
}

func report(check string, seen any, err error) {
	line := struct {
		Check  string `json:"check"`
		Result string `json:"result"`
		Detail string `json:"detail"`
	}{check, "ok", fmt.Sprintf("%v", seen)}
	var unsupported Unsupported
	switch {
	case errors.As(err, &unsupported):
		line.Result, line.Detail = "unsupported", string(unsupported)
	case err != nil:
		line.Result, line.Detail = "failed", err.Error()
	}
	show(line)
}

func show(line any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		panic(err)
	}
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

func Line(n int) string { return fmt.Sprintf("line %d ünï \\ \t end", n) }

// Digest of many lines: how many, and what was in them.
func Digest(lines []string) string {
	return fmt.Sprintf("%d %x", len(lines), sha256.Sum256([]byte(strings.Join(lines, "\n"))))[:24]
}

// CopyText is what COPY reads: the rows of copy_in.
func CopyText() string {
	var text strings.Builder
	for n := range Rows {
		fmt.Fprintf(&text, "%d\tline %d ünï\n", n, n)
	}
	return text.String()
}
