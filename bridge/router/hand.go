package router

import "nalar.internal/rowfeed/bridge/change"

// hand calls a sink's methods. A panic in one of them, which is a defect of the program, is that session's alone: the event
// goes on to all others.
type hand struct{ sink Sink }

func (h hand) rescue() {
	if v := recover(); v != nil {
		h.sink.Failed(v)
	}
}

func (h hand) send(m *change.Message) {
	defer h.rescue()
	h.sink.Send(m)
}

func (h hand) queue(m *change.Message) {
	defer h.rescue()
	h.sink.Queue(m)
}

func (h hand) offer(m *change.Message, c *Channel) (fits bool) {
	defer h.rescue()
	return h.sink.Offer(m, c)
}

func (h hand) resync(n change.Notice, subscription string) {
	defer h.rescue()
	h.sink.Resync(n, subscription)
}

func (h hand) slow() {
	defer h.rescue()
	h.sink.Slow()
}
