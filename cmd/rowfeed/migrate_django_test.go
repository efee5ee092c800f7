package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// djangoManage is a Django project in one file, with an app of one migration.
const djangoManage = `import os, sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="test", INSTALLED_APPS=["shop"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["NAME"], "USER": os.environ["DBUSER"],
                           "HOST": os.environ["HOST"], "PORT": os.environ["PORT"]},
               "light": {"ENGINE": "django.db.backends.sqlite3", "NAME": "light.sqlite3"}})
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
`

const djangoInitial = `from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL("select 1", reverse_sql=migrations.RunSQL.noop)]
`

// django runs manage.py in the project.
func (m *migration) django(dir string, args ...string) string {
	m.t.Helper()
	u, err := url.Parse(m.db.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), python(m.t), append([]string{"manage.py"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NAME="+m.db.Name, "DBUSER="+u.User.Username(), "HOST="+u.Hostname(), "PORT="+u.Port(),
		"PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("manage.py %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// python finds one that has Django and a driver of PostgreSQL: that of the system's packages, else that on the PATH.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import django, django.db.backends.postgresql.base").Run() == nil {
			return name
		}
	}
	t.Fatal("there is no Python with Django and psycopg: run scripts/setup.sh django")
	return ""
}

// TestDjango runs the migrations with Django, up and down.
func TestDjango(t *testing.T) {
	t.Parallel()
	m := newMigration(t, sqlDDL, sqlRules...)
	project := t.TempDir()
	dir := filepath.Join(project, "shop", "migrations")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"manage.py": djangoManage, "shop/__init__.py": "", "shop/migrations/__init__.py": "",
		"shop/migrations/0041_initial.py": djangoInitial} {
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.django(project, "migrate")
	before := m.dump()
	m.must(0, "0042_rowfeed_install.py", "sql", "--out", dir, "--django", "shop")
	if out := m.django(project, "sqlmigrate", "shop", "0042"); !strings.Contains(out, "operator(pg_catalog.%) 3") {
		t.Errorf("a %% is not as it should be in %s", out)
	}
	m.django(project, "migrate")
	byDjango := m.dump()
	m.django(project, "migrate", "--database", "light") // as tests of many projects run
	m.django(project, "migrate", "--database", "light", "shop", "zero")
	m.must(0, "nothing to do", "plan")
	m.must(0, "nothing to write", "sql", "--out", dir, "--django", "shop")
	if out := m.django(project, "makemigrations", "--check", "--dry-run"); !strings.Contains(out, "No changes") {
		t.Errorf("Django finds something to do: %s", out)
	}
	m.django(project, "migrate", "shop", "0041")
	if after := m.dump(); after != before {
		t.Errorf("taken back, something is left: %s", after)
	}
	m.must(0, "", "up")
	if byUp := m.dump(); !sameSchema(byUp, byDjango) {
		t.Errorf("Django makes another schema than up")
	}
	m.must(0, "drop schema", "down")
	other := t.TempDir()
	m.must(0, "", "sql", "--out", other, "--django", "shop", "--depends", "stock.0007_levels")
	text, err := os.ReadFile(filepath.Join(other, "0001_rowfeed_install.py"))
	if err != nil || !strings.Contains(string(text), `dependencies = [("stock", "0007_levels")]`) {
		t.Errorf("--depends: %v", err)
	}
	text, err = os.ReadFile(filepath.Join(other, "0002_rowfeed_watch_public_orders.py"))
	if err != nil || !strings.Contains(string(text), `dependencies = [("shop", "0001_rowfeed_install")]`) {
		t.Errorf("the second does not depend on the first: %v", err)
	}
}
