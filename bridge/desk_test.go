package bridge

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A question that meets a defect fails by itself, and nothing of what the panic says is logged.
func TestRequestPanics(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	d := &desk{b: &Bridge{log: zap.New(core)}}
	answer, err := d.attempt(func() (any, error) { panic("salary 4711") })
	if answer != nil || err == nil || strings.Contains(err.Error(), "4711") {
		t.Errorf("got %v, %v", answer, err)
	}
	if all := logs.All(); len(all) != 1 || strings.Contains(all[0].ContextMap()["panic"].(string), "4711") {
		t.Errorf("logged %+v", all)
	}
	if answer, err := d.attempt(func() (any, error) { return 1, nil }); answer != 1 || err != nil {
		t.Errorf("got %v, %v", answer, err)
	}
}
