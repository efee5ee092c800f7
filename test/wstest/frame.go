// Package wstest reads and makes bare WebSocket frames, for clients of which there are thousands in one process.
package wstest

import "encoding/binary"

// Frame finds the first frame of b: its opcode, and where its payload begins and ends; to is 0 where it is not there
// as a whole. What a server sends has no mask.
func Frame(b []byte) (code byte, from, to int) {
	if len(b) < 2 {
		return 0, 0, 0
	}
	size, from := int(b[1]&0x7f), 2
	switch {
	case size == 126 && len(b) >= 4:
		size, from = int(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, from = int(binary.BigEndian.Uint64(b[2:])), 10
	case size >= 126:
		return 0, 0, 0
	}
	if len(b) < from+size {
		return 0, 0, 0
	}
	return b[0] & 0xf, from, from + size
}

// Masked makes a frame as clients send it; the mask's key is zero, which leaves the payload as it is.
func Masked(code byte, payload []byte) []byte {
	head := []byte{0x80 | code, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	if len(payload) > 125 {
		head = []byte{0x80 | code, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	}
	return append(head, payload...)
}
