package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// counter is a row as the application's own API gives it.
type counter struct {
	ID int `json:"id"`
	N  int `json:"n"`
}

// serve begins to answer as the application's own API does, until the process ends: /counters/{id} is a row,
// /counters?of=10&rest=3 are those whose id leaves 3 when divided by 10. It returns the API's address.
func serve(ctx context.Context, url, origin string) (string, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, one bool, query string, args ...any) {
		rows, _ := pool.Query(r.Context(), query, args...)
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[counter])
		w.Header().Set("Access-Control-Allow-Origin", origin)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case one && len(found) == 0:
			http.NotFound(w, r)
		case one:
			_ = json.NewEncoder(w).Encode(found[0])
		default:
			_ = json.NewEncoder(w).Encode(found)
		}
	}
	mux.HandleFunc("GET /counters/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		answer(w, r, true, "select id, n from counter where id = $1", id)
	})
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, r *http.Request) {
		of, _ := strconv.Atoi(r.FormValue("of"))
		rest, _ := strconv.Atoi(r.FormValue("rest"))
		answer(w, r, false, "select id, n from counter where id % $1 = $2 order by id", max(of, 1), rest)
	})
	go http.Serve(l, mux) //nolint:errcheck // ends with the process; nobody but the test asks
	return "http://" + l.Addr().String(), nil
}
