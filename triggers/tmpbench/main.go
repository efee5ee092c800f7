package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/triggers"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Args[1])
	if err != nil {
		panic(err)
	}
	wake := "auto"
	if len(os.Args) > 2 {
		wake = os.Args[2]
	}
	t := triggers.Target{Schema: "rowfeed", Retention: 24 * time.Hour, Wants: []change.Want{{Table: "ours", Channel: "stock", Wake: wake,
		Columns: []string{"id", "sku_id", "warehouse_id", "quantity", "reorder_level", "updated_at", "note"}, Watch: []string{"quantity"}}}}
	s, err := triggers.Inspect(ctx, conn, t)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Err())
	for _, st := range s.Plan() {
		fmt.Println("--", st.What, "\n--", st.Lock, "\n"+st.SQL)
	}
	if err := triggers.Up(ctx, conn, t, func(s string) { fmt.Println(s) }); err != nil {
		panic(err)
	}
}
