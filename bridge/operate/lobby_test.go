package operate

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The lobby holds so many connections; the one that has waited longest makes room, who is being served stays, and who
// has been served waits again.
func TestLobby(t *testing.T) {
	t.Parallel()
	entered, answer := make(chan struct{}, 100), make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-answer
		io.WriteString(w, "ok")
	}))
	l := NewLobby(3)
	l.Watch(s.Config)
	s.Start()
	defer s.Close()
	open := func() net.Conn {
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		return nc
	}
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	served := open()
	io.WriteString(served, request)
	<-entered
	first := open()
	io.WriteString(first, request[:10]) // has begun, and so is no longer new to net/http
	for range 3 {
		open()
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the one that had waited longest got an answer")
	}
	if waiting, dropped := l.Counts(); waiting != 3 || dropped != 1 {
		t.Errorf("%d wait, %d dropped; want 3 and 1", waiting, dropped)
	}
	close(answer)
	r := bufio.NewReader(served)
	for range 2 { // again, though in between it is one that waits
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("the one that was served: %v %v", res, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		io.WriteString(served, request)
	}
	served.Close()
}
