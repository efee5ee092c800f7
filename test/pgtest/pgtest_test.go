package pgtest_test

import (
	"testing"

	"nalar.internal/rowfeed/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNewIsEmptyAndSeparate(t *testing.T) {
	t.Parallel()
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, "create table thing (id int); insert into thing values (1)")
			var n int
			if err := db.Connect(t).QueryRow(t.Context(), "select count(*) from thing").Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != 1 {
				t.Errorf("%d rows, want the 1 of this database", n)
			}
		})
	}
}

func TestPoolAsAnotherRole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role := "reader_of_" + db.Name
	db.Exec(t, "create role "+role+" login")
	var user, name string
	row := db.PoolAs(t, role).QueryRow(t.Context(), "select current_user, current_database()")
	if err := row.Scan(&user, &name); err != nil {
		t.Fatal(err)
	}
	if user != role || name != db.Name {
		t.Errorf("connected as %s to %s", user, name)
	}
}

func TestDropsItsDatabase(t *testing.T) {
	t.Parallel()
	var gone *pgtest.DB
	t.Run("inner", func(t *testing.T) {
		gone = pgtest.New(t)
		gone.Connect(t) // still open when the database is dropped, or closed just before
	})
	var n int
	row := pgtest.New(t).Connect(t).QueryRow(t.Context(), "select count(*) from pg_database where datname = $1", gone.Name)
	if err := row.Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("database %s is still there", gone.Name)
	}
}

func TestNewServerTakesSettings(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, map[string]string{"max_prepared_transactions": "10"})
	var value string
	row := pgtest.NewIn(t, server).Connect(t).QueryRow(t.Context(), "show max_prepared_transactions")
	if err := row.Scan(&value); err != nil {
		t.Fatal(err)
	}
	if value != "10" {
		t.Errorf("max_prepared_transactions is %s", value)
	}
}
