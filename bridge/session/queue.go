package session

import (
	"slices"
	"time"

	"nalar.internal/rowfeed/bridge/change"
)

// Bounds of what may wait for one socket: what a slow reader can keep alive, which the garbage collector doubles. Messages
// are counted as if each queue held its own; of what really is for one session alone less may wait.
const (
	maxQueueBytes = 768 << 10
	maxQueueOwn   = 256 << 10
	maxQueueLen   = 16 << 10
	keepCapacity  = 8 // a queue at rest keeps no more room than this

	// What is replayed leaves room for what is live, and goes on when most of it has left.
	pastBytes = 192 << 10
	pastLen   = 4 << 10
	lowBytes  = 64 << 10
	lowLen    = 1 << 10
)

// queue holds the messages that wait for one socket, oldest first. The first inflight of them are with the writer and
// must stay where they are.
type queue struct {
	items    []*change.Message
	head     int
	inflight int
	offset   int // bytes of the first message that are already on the wire
	bytes    int // of all that items keep in memory
	own      int // of those that are for this session alone
	sse      bool
	merged   int64 // when it last dropped what a newer event replaces, microseconds of the Unix epoch; 0: never
	opening  bool  // the first message is the answer to the handshake, without which nothing else makes sense
	doomed   bool  // what is with the writer and does not get on the wire is to be dropped, events at least
}

// wire is what of a message goes into the socket.
func (q *queue) wire(m *change.Message) []byte {
	if q.sse {
		return m.Stream()
	}
	return m.Frame()
}

// size is what a message keeps in memory: as an event of a stream it does so in both forms.
func (q *queue) size(m *change.Message) int {
	if q.sse {
		return len(m.Frame()) + len(m.Stream())
	}
	return len(m.Frame())
}

// count adds a message to what is counted, or with sign -1 takes it off.
func (q *queue) count(m *change.Message, sign int) {
	n := sign * q.size(m)
	q.bytes += n
	if !m.Shared {
		q.own += n
	}
}

func (q *queue) len() int { return len(q.items) - q.head }

// push appends m. It returns false when that would pass the bounds and nothing could be merged; a single message may
// be of any size.
func (q *queue) push(m *change.Message) bool {
	if q.over(m) {
		q.merge()
		q.merged = time.Now().UnixMicro()
		// A merge that frees little would be repeated for each message: a reader that far behind is too slow.
		bytes, own := q.behind()
		if q.len() > maxQueueLen*3/4 || bytes > maxQueueBytes*3/4 || own > maxQueueOwn*3/4 || q.over(m) {
			return false
		}
	}
	q.append(m)
	return true
}

// room tells whether a message of the past may be appended; a single one may be of any size.
func (q *queue) room(m *change.Message) bool {
	return q.len() == 0 || q.bytes+q.size(m) <= pastBytes && q.len() < pastLen
}

func (q *queue) over(m *change.Message) bool {
	if q.len() == 0 {
		return false
	}
	n := q.size(m)
	bytes, own := q.behind()
	return bytes+n > maxQueueBytes || !m.Shared && own+n > maxQueueOwn || q.len() >= maxQueueLen
}

// behind returns what waits behind the first message, which may be of any size: while it leaves, a ping must not be what
// ends the session.
func (q *queue) behind() (bytes, own int) {
	bytes, own = q.bytes, q.own
	if q.len() > 0 {
		first := q.items[q.head]
		bytes -= q.size(first)
		if !first.Shared {
			own -= q.size(first)
		}
	}
	return bytes, own
}

func (q *queue) append(m *change.Message) {
	if q.head > 0 && q.head >= len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, m)
	q.count(m, 1)
}

// merge keeps of each row of a latest channel only the newest plain update: an older one that is followed by anything
// about the same row goes. Inserts, deletes, enters and leaves stay, and so does all that is already with the writer.
func (q *queue) merge() {
	type row struct {
		rule int32
		key  string
	}
	newer := make(map[row]bool)
	first := q.begun()
	q.takeApart(first)
	to := len(q.items)
	for i := len(q.items) - 1; i >= first; i-- {
		m := q.items[i]
		if m.Latest {
			r := row{m.Rule, m.Key}
			if m.Op == change.Update && m.Variant == change.Whole && newer[r] {
				q.count(m, -1)
				continue
			}
			newer[r] = true
		}
		to--
		q.items[to] = m
	}
	n := copy(q.items[first:], q.items[to:])
	clear(q.items[first+n:])
	q.items = q.items[:first+n]
}

// takeApart puts the parts of joined messages in their place.
func (q *queue) takeApart(first int) {
	var whole []*change.Message
	for i, m := range q.items[first:] {
		switch {
		case m.Parts() == nil && whole != nil:
			whole = append(whole, m)
		case m.Parts() != nil:
			if whole == nil {
				whole = append(whole, q.items[first:first+i]...)
			}
			whole = append(whole, m.Parts()...)
			q.count(m, -1)
			for _, part := range m.Parts() { // each has an id in a stream, of which the whole has one
				q.count(part, 1)
			}
		}
	}
	if whole != nil {
		q.items = append(q.items[:first], whole...)
	}
}

// views appends what waits to bufs, at most max messages, and marks it as being with the writer. While the queue is held
// that is no more than the rest of a frame that has begun to leave.
func (q *queue) views(bufs [][]byte, max int, held bool) [][]byte {
	if held && !q.opening {
		q.inflight = 0
		if rest := q.rest(); len(rest) > 0 {
			q.inflight = 1
			bufs = append(bufs, rest)
		}
		return bufs
	}
	n := min(q.len(), max)
	if held {
		n = 1
	}
	for i := range n {
		b := q.wire(q.items[q.head+i])
		if i == 0 {
			b = b[q.offset:]
		}
		bufs = append(bufs, b)
	}
	q.inflight = n
	return bufs
}

// advance takes n written bytes off the queue and returns how many messages are wholly written now.
func (q *queue) advance(n int) (written int) {
	end := q.head + q.inflight
	q.inflight = 0
	n += q.offset
	for q.head < len(q.items) {
		m := q.items[q.head]
		size := len(q.wire(m))
		if n < size {
			break
		}
		n -= size
		q.count(m, -1)
		written += m.Count()
		q.items[q.head] = nil
		q.head++
		q.opening = false
	}
	q.offset = n
	if q.doomed {
		q.doomed = false
		q.dropDoomed(end)
	}
	if q.head == len(q.items) {
		q.items, q.head, q.offset = q.items[:0], 0, 0
		if cap(q.items) > keepCapacity {
			q.items = nil
		}
	}
	return written
}

// begun returns the position after what has begun to leave: after a partial frame nothing but its rest may be written.
func (q *queue) begun() int {
	if q.inflight == 0 && (q.offset > 0 || q.opening) {
		return q.head + 1
	}
	return q.head + q.inflight
}

// replaceEvents drops the events that have not begun to leave, and has the notices take the place of the first: nothing
// that vouches for what was dropped comes before them. Answers and control frames stay.
func (q *queue) replaceEvents(notices []*change.Message) {
	first := q.begun()
	rest := slices.Clone(q.items[first:])
	place := slices.IndexFunc(rest, func(m *change.Message) bool { return m.Op != 0 })
	if place < 0 {
		place = len(rest)
	}
	clear(q.items[first:])
	q.items = append(append(q.items[:first], rest[:place]...), notices...)
	for _, m := range rest[place:] {
		if m.Op == 0 {
			q.items = append(q.items, m)
		} else {
			q.count(m, -1)
		}
	}
	for _, m := range notices {
		q.count(m, 1)
	}
}

// cut drops all that has not begun to leave.
func (q *queue) cut() {
	keep := q.begun()
	for i := keep; i < len(q.items); i++ {
		q.count(q.items[i], -1)
		q.items[i] = nil
	}
	q.items = q.items[:keep]
}
