package source

import (
	"context"
	"time"
)

// awaitTurn waits until it is time to sweep, and tells whether a notification says so. While this node is at the door it
// goes by the clock alone: what rings then rings for others.
func (f *Feed) awaitTurn(ctx context.Context, timer *time.Timer) (woken bool, err error) {
	for {
		bell := f.bell
		if f.door.attended() {
			bell = nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-bell:
			return true, nil
		case <-f.door.moved:
			if f.door.attended() {
				return false, nil
			}
		case <-timer.C:
			select {
			case <-f.bell: // both were there
				return !f.door.attended(), nil
			default:
				return false, nil
			}
		}
	}
}

// tempo says when the next sweep is due, and whether somebody should lead.
func (f *Feed) tempo(s signs, transactions int, first bool) (Mode, time.Duration) {
	if first {
		transactions = 0 // of all the time before
	}
	mode, interval := f.pace.next(s, f.seen.Load())
	if f.polling {
		mode, interval = Polling, poll
	}
	f.door.want(f.pace.busy(s.at, transactions))
	f.Stats.mode.Store(int32(mode))
	return mode, interval
}

// missing is a change that was found without having been rung for, where commits ring: the notification may be late.
type missing struct {
	at    time.Time // zero: there is none
	heard uint64    // notifications until then
}

func (m *missing) found(at time.Time, heard uint64) {
	if m.at.IsZero() {
		m.at, m.heard = at, heard
	}
}

// judge counts a notification that has not come for a second. For some time changes are looked for more often then.
func (f *Feed) judge(m *missing, now time.Time) {
	if m.at.IsZero() || now.Sub(m.at) < heartbeat {
		return
	}
	if f.heard.Load() == m.heard {
		f.Stats.Missed.Add(1)
		if f.Stats.Listening.Load() {
			f.pace.doubt = now.Add(suspect)
		}
	}
	m.at = time.Time{}
}
