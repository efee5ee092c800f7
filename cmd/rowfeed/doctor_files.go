//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"syscall"
)

// checkOpenFiles compares server.max_connections with what this process may open. A Go program has raised the soft limit to
// the hard one by itself.
func checkOpenFiles(_ context.Context, x *examination) []finding {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil // nothing is known
	}
	database, err := connectionsOf(x.cfg)
	if err != nil {
		return nil // the configuration's check says so
	}
	most := x.cfg.Server.MaxConnections
	need := uint64(max(0, most+most/4+database+64)) // those of nobody known have a quarter more
	if need > limit.Cur {
		return []finding{warn(fmt.Sprintf("server.max_connections is %d, and a process of this user may have %d files open", most, limit.Cur),
			fmt.Sprintf("raise it to %d where serve runs (ulimit -n; LimitNOFILE= in systemd; --ulimit nofile= of a container), or set "+
				"server.max_connections lower", need))}
	}
	return []finding{good("%d may be open here, server.max_connections needs %d; where serve runs may differ", limit.Cur, need)}
}
