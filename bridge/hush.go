package bridge

import "nalar.internal/rowfeed/bridge/change"

// hush keeps a table that has drifted from having its subscribers fetch afresh at each write: the first notice of a
// resource goes out at once, those that follow wait for the next cursor, about a second. None may lie before a cursor that
// is given out and be told after it.
type hush struct {
	said    map[string]bool // resources told since the last cursor
	waiting []change.Notice // one for each resource
}

// says tells whether the notice goes out now.
func (h *hush) says(n change.Notice) bool {
	if n.Reason != "drift" || n.Resource == "" {
		return true
	}
	waits, said := h.said[n.Resource]
	switch {
	case !said:
		if h.said == nil {
			h.said = map[string]bool{}
		}
		h.said[n.Resource] = false
		return true
	case !waits:
		h.said[n.Resource] = true
		h.waiting = append(h.waiting, n)
	}
	return false
}

// settle returns what waits. Those resources count as told in the time that begins.
func (h *hush) settle() []change.Notice {
	list := h.waiting
	h.waiting = nil
	clear(h.said)
	for _, n := range list {
		h.said[n.Resource] = false
	}
	return list
}
