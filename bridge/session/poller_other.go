//go:build !linux

package session

import (
	"errors"
	"syscall"
)

// poller is for Linux; elsewhere each session has a goroutine that reads.
type poller struct{}

func newPoller() (*poller, error)    { return nil, nil }
func (p *poller) arm(*Session) error { return errors.New("parking is for linux") }
func (p *poller) disarm(*Session)    {}
func (p *poller) run(func(*Session)) {}
func (p *poller) close()             {}
func (p *poller) release()           {}
func (op *readOp) call(uintptr) bool { return true }
func (op *readOp) read(syscall.RawConn, []byte) (int, error) {
	return 0, errors.New("parking is for linux")
}
