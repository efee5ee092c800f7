package change

import "encoding/binary"

// Stream returns the message as Server-Sent Events (HTML Living Standard, section 9.2): `data:` with the JSON text, and
// `id:` with the cursor where there is one. It is rendered at the first call, for all who send it; several goroutines
// may call it. Control frames have no such form; raw messages are what they are. Not to be changed.
func (m *Message) Stream() []byte {
	if m.raw {
		return m.buf
	}
	if b := m.stream.Load(); b != nil {
		return *b
	}
	b := m.appendStream(make([]byte, 0, len(m.Frame())+m.Count()*len("data: \n\n")+len("id: \n")+len(m.Cursor)))
	m.stream.CompareAndSwap(nil, &b)
	return *m.stream.Load()
}

// appendStream takes the frames apart again, so that a joined message keeps nothing beside them. The last event of a
// joined message carries the id: who has got that one has got all. JSON texts stand on one line.
func (m *Message) appendStream(dst []byte) []byte {
	for rest := m.Frame(); len(rest) > 0; {
		var text bool
		var payload []byte
		text, payload, rest = splitFrame(rest)
		if !text {
			continue
		}
		if len(rest) == 0 && m.Cursor != "" {
			dst = append(append(append(dst, "id: "...), m.Cursor...), '\n')
		}
		dst = append(append(append(dst, "data: "...), payload...), "\n\n"...)
	}
	return dst
}

// splitFrame cuts the first frame off frames that putHeader has made.
func splitFrame(b []byte) (text bool, payload, rest []byte) {
	n, header := int(b[1]), 2
	switch n {
	case 126:
		n, header = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		n, header = int(binary.BigEndian.Uint64(b[2:])), 10 //nolint:gosec // the frame is our own, its size that of a slice
	}
	return b[0]&0xf == 0x1, b[header : header+n], b[header+n:]
}
