package bridge_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that docs/SECURITY.md names for its attacks are there, and each attack has one.
func TestAttacksAreTested(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\((?:t \*testing\.T|f \*testing\.F)\)`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			there[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	name, rows := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`"), 0
	lines, inside := bufio.NewScanner(file), false
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "## ") {
			inside = line == "## Attacks"
		}
		if !inside || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| attack |") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		tests := name.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("no test for: %s", line)
		}
		for _, test := range tests {
			if !there[test[1]] {
				t.Errorf("there is no %s, which stands beside: %s", test[1], line)
			}
		}
	}
	if lines.Err() != nil || rows < 30 {
		t.Errorf("%d attacks were read, %v", rows, lines.Err())
	}
}
