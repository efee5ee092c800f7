package change

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The major versions of PostgreSQL that all is tested with. A newer one is let pass.
const (
	OldestServer = 14 // has what is needed first: triggers of partitions that can be told apart (pg_trigger.tgparentid)
	NewestServer = 18
)

// CheckServer refuses a server that is too old. version is what it reports of itself when a session begins (the parameter
// server_version), such as "15.18 (Debian 15.18-0+deb12u1)".
func CheckServer(version string) error {
	digits := version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
	major, err := strconv.Atoi(digits)
	switch {
	case err != nil:
		return errors.New("the server does not say which version of PostgreSQL it is: connect to the server itself")
	case major < OldestServer:
		return fmt.Errorf("PostgreSQL %d is too old: rowfeed needs %d or newer", major, OldestServer)
	}
	return nil
}
