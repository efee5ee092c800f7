//go:build !linux

package session

import (
	"syscall"
	"time"
)

// setUserTimeout is for Linux; elsewhere the system's own patience is what there is.
func setUserTimeout(syscall.RawConn, time.Duration) {}

// limitUnsent is for Linux too.
func limitUnsent(syscall.RawConn) {}
