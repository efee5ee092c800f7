package audience

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newMemo() *memo {
	return &memo{keep: time.Second, flights: map[who]*flight{}, changed: map[string]uint64{}}
}

func TestMemoSharesOneAnswer(t *testing.T) {
	t.Parallel()
	answers := map[string]error{"found": nil, "refused": refuse("user not active"), "failed": ErrUnavailable}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, fetches := newMemo(), 0
				var askers sync.WaitGroup
				ask := func() {
					p, err := m.get(t.Context(), who{"", "42"}, func() (*person, error) {
						fetches++
						<-time.After(time.Second) // synthetic time: the others arrive meanwhile
						return &person{name: "Ana"}, answer
					})
					if !errors.Is(err, answer) || p == nil || p.name != "Ana" {
						t.Errorf("got %+v, %v; want %v", p, err, answer)
					}
				}
				for range 100 {
					askers.Go(ask)
				}
				askers.Wait()
				if fetches != 1 {
					t.Errorf("%d fetches for sessions at the same time", fetches)
				}
				ask()
				again := 1
				if errors.Is(answer, ErrUnavailable) {
					again = 2 // a failure is not an answer to keep
				}
				if fetches != again {
					t.Errorf("%d fetches right after, want %d", fetches, again)
				}
				<-time.After(2 * time.Second)
				synctest.Wait()
				if len(m.flights) != 0 {
					t.Errorf("%d answers kept for too long", len(m.flights))
				}
				ask()
				if fetches != again+1 {
					t.Errorf("%d fetches once it is old, want %d", fetches, again+1)
				}
				<-time.After(2 * time.Second)
			})
		})
	}
}

func TestMemoKeepsUsersApart(t *testing.T) {
	t.Parallel()
	m := newMemo()
	for _, k := range []who{{"", "42"}, {"a", "42"}, {"", "43"}} {
		p, err := m.get(t.Context(), k, func() (*person, error) { return &person{name: k.issuer + k.user}, nil })
		if err != nil || p.name != k.issuer+k.user {
			t.Errorf("%v: %+v, %v", k, p, err)
		}
	}
}

func TestMemoWaiterLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, release := newMemo(), make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			_, err := m.get(t.Context(), who{}, func() (*person, error) { <-release; return nil, refuse("user not active") })
			if _, ok := errors.AsType[*Refusal](err); !ok {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.get(ctx, who{}, func() (*person, error) { t.Error("fetched twice"); return nil, nil })
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		first.Wait()
		<-time.After(2 * time.Second)
	})
}

func TestMemoSurvivesPanic(t *testing.T) {
	t.Parallel()
	m := newMemo()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_, _ = m.get(t.Context(), who{}, func() (*person, error) { panic("broken") })
	}()
	p, err := m.get(t.Context(), who{}, func() (*person, error) { return &person{}, nil })
	if p == nil || err != nil {
		t.Errorf("got %+v, %v", p, err)
	}
}
