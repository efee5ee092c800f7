package source

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgxlisten"
	"go.uber.org/zap"
)

// listen rings the bell on notifications until ctx ends. pgxlisten reconnects at once when it is told to; the waiting
// between attempts is ours, since its default is a minute.
func (f *Feed) listen(ctx context.Context) {
	watching := make(chan struct{})
	defer func() { <-watching }() // ctx has ended then
	go func() {
		defer close(watching)
		if f.o.Wake != "sweep" {
			f.canaries(ctx)
		}
	}()
	var wait backoff
	for attempt := 0; ctx.Err() == nil; attempt++ {
		select {
		case <-ctx.Done():
			return
		case <-f.started: // it is known what to listen for, and whether that makes sense
		}
		if f.o.Wake == "sweep" {
			<-ctx.Done()
			return
		}
		f.listenOnce(ctx, &wait)
		f.hungUp()
	}
}

// listenOnce listens until ctx ends or the listener is to be restarted.
func (f *Feed) listenOnce(ctx context.Context, wait *backoff) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.relisten.Store(&cancel)
	connected := false
	l := pgxlisten.Listener{
		ReconnectDelay: -1,
		LogError: func(ctx context.Context, err error) {
			if ctx.Err() == nil {
				f.o.Log.Warn("listener interrupted, reconnecting", zap.String("channel", f.o.Channel), zap.Error(err))
			}
		},
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			f.hungUp()
			if connected || wait.n > 0 {
				wait.sleep(ctx)
			}
			connected = true
			wait.n = max(wait.n, 1)
			return f.o.Connect(ctx)
		},
	}
	l.Handle(*f.notify.Load(), &doorbell{f: f, wait: wait})
	_ = l.Listen(ctx)
}

// hungUp notes that the listener has no connection.
func (f *Feed) hungUp() {
	f.line.Store(0)
	f.Stats.Listening.Store(false)
}

// doorbell is what pgxlisten calls.
type doorbell struct {
	f    *Feed
	wait *backoff
}

// HandleBacklog runs when LISTEN is in force: what was committed before is for the sweep to find.
func (d *doorbell) HandleBacklog(context.Context, string, *pgx.Conn) error {
	d.wait.reset()
	d.f.line.Store(d.f.lines.Add(1))
	until(&d.f.door.others, othersTime)               // until each has had the time to send a canary
	d.f.Stats.Listening.Store(!d.f.Stats.Deaf.Load()) // after a lost canary, the next that comes back says so
	select {
	case d.f.fresh <- struct{}{}:
	default:
	}
	d.f.ring()
	return nil
}

// HandleNotification rings unless the transaction that the notification is about has been swept. The payload is
// nobody's word: what is no transaction id rings too, and finds nothing.
func (d *doorbell) HandleNotification(_ context.Context, n *pgconn.Notification, _ *pgx.Conn) error {
	if d.f.isCanary(n.Payload) {
		return nil
	}
	if node, leader := strings.CutPrefix(n.Payload, leaderMark); leader && !d.f.door.heard(node) {
		return nil
	}
	d.f.heard.Add(1)
	if xid, err := strconv.ParseUint(n.Payload, 10, 64); err == nil {
		if s := d.f.seen.Load(); s != nil && s.Over(xid) {
			return nil
		}
	}
	d.f.ring()
	return nil
}

// ring wakes the sweep; rings that come while it is awake become one.
func (f *Feed) ring() {
	select {
	case f.bell <- struct{}{}:
		f.Stats.Wakeups.Add(1)
	default:
	}
}
