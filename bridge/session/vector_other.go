//go:build !linux

package session

import (
	"errors"
	"syscall"
)

// parking is for Linux; elsewhere each session has a goroutine that reads, and one that writes while it has to.
const parking = false

type vector struct{}

func (v *vector) init() {}

func (v *vector) send(syscall.RawConn, [][]byte) (int, bool, error) {
	return 0, false, errors.New("non-blocking writes are for linux")
}
