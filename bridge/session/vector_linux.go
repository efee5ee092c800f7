package session

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// parking tells that sessions at rest can wait in the poller and be written to without waiting.
const parking = true

// vector sends buffers with one non-blocking writev, reusing its memory.
type vector struct {
	iov   []unix.Iovec
	n     int
	errno syscall.Errno
	fn    func(fd uintptr) bool
}

func (v *vector) init() {
	v.iov = make([]unix.Iovec, 0, maxBatch)
	v.fn = v.call
}

func (v *vector) call(fd uintptr) bool {
	for {
		n, errno := v.write(fd)
		if errno == unix.EINTR {
			continue
		}
		v.n, v.errno = int(n), errno
		return true // never let the runtime wait for the socket
	}
}

// write spares the kernel the list where there is one buffer only.
func (v *vector) write(fd uintptr) (n uintptr, errno syscall.Errno) {
	if len(v.iov) == 1 {
		//nolint:gosec // of a slice that is kept until the call is over, as unsafe.Pointer asks
		n, _, errno = unix.Syscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(v.iov[0].Base)), uintptr(v.iov[0].Len))
		return n, errno
	}
	n, _, errno = unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.iov[0])), uintptr(len(v.iov))) //nolint:gosec // likewise
	return n, errno
}

// send writes what the socket takes. again tells that it is full.
func (v *vector) send(raw syscall.RawConn, bufs [][]byte) (n int, again bool, err error) {
	v.iov = v.iov[:0]
	total := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		v.iov = append(v.iov, iov)
		total += len(b)
	}
	err = raw.Write(v.fn)
	clear(v.iov)
	switch {
	case err != nil:
		return 0, false, err
	case v.errno == unix.EAGAIN:
		return 0, true, nil
	case v.errno != 0:
		return 0, false, v.errno
	}
	return v.n, v.n < total, nil
}
