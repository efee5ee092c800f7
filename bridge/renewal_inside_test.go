package bridge

import (
	"testing"

	"nalar.internal/rowfeed/bridge/audience"
)

// A user is asked for by the last hold's task, in whichever order the questions of two holds fail or are answered: what an
// older one does would leave the sessions held for ever.
func TestLastHoldIsKept(t *testing.T) {
	t.Parallel()
	who := &audience.Identity{User: "1"}
	older, newer := &task{who: who, number: 1}, &task{who: who, number: 2}
	for name, steps := range map[string]func(*renewals){
		"older fails first":   func(r *renewals) { r.retry(older); r.retry(newer) },
		"newer fails first":   func(r *renewals) { r.retry(newer); r.retry(older) },
		"older is answered":   func(r *renewals) { r.retry(newer); r.answered(older) },
		"both, older at last": func(r *renewals) { r.retry(older); r.retry(newer); r.answered(older) },
	} {
		r := &renewals{due: map[person]*task{}}
		if steps(r); r.due[newer.person()] != newer {
			t.Errorf("%s: the last hold's task is gone", name)
		}
	}
	r := &renewals{due: map[person]*task{}}
	r.retry(older)
	if r.answered(newer); len(r.due) != 0 {
		t.Error("asked again, although the last hold is over")
	}
}
