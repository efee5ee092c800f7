package pgtest

import (
	"bytes"
	"context"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Dump is the schema as pg_dump writes it, and, where there is no pg_dump as new as the server, as the catalog has it.
// Newer ones put a random key in, unless they are given one.
func (db *DB) Dump(t testing.TB) string {
	t.Helper()
	catalog := db.catalog(t)
	program, err := db.Server.Tool("pg_dump")
	if err != nil {
		t.Fatal(err)
	}
	if program == "" {
		t.Log("comparing the catalog only: there is no pg_dump that is as new as the server")
		return catalog
	}
	args := []string{"--schema-only", "--dbname", db.URL}
	help, err := exec.CommandContext(t.Context(), program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(help, []byte("--restrict-key")) {
		args = append(args, "--restrict-key=fixed")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return string(out) + catalog
}

// catalog is every object of the database's own, with its rights and owner.
func (db *DB) catalog(t testing.TB) string {
	t.Helper()
	var all string
	db.with(t, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select string_agg(line, e'\n' order by line) from (
		select format('class %s %s %s %s %s', relnamespace::regnamespace, relname, relkind, relacl, relowner::regrole) from pg_class
		union all select format('column %s %s %s', attrelid::regclass, attname, attacl) from pg_attribute
			where attrelid >= 16384 and not attisdropped
		union all select format('function %s %s %s %s', oid::regprocedure, proacl, proowner::regrole, md5(prosrc)) from pg_proc
		union all select format('trigger %s %s %s', tgrelid::regclass, pg_get_triggerdef(oid), tgenabled) from pg_trigger
		union all select format('schema %s %s %s', nspname, nspacl, nspowner::regrole) from pg_namespace
		union all select format('type %s %s', oid::regtype, typacl) from pg_type
		union all select format('constraint %s %s', conrelid::regclass, conname) from pg_constraint
		union all select format('default %s %s', defaclnamespace, defaclacl) from pg_default_acl
		union all select format('database %s', datacl) from pg_database where datname = current_database()
		) all_objects (line)
		where line !~ 'pg_toast'`).Scan(&all)
	})
	return all
}
