package schema_test

import (
	"testing"

	"nalar.internal/rowfeed/schema"
	"nalar.internal/rowfeed/test/erp"
	"nalar.internal/rowfeed/test/pgtest"
	"nalar.internal/rowfeed/test/rig"
)

// TestSampleERP: what is written for the sample ERP is what the client's tests are compiled with.
func TestSampleERP(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	if err := erp.Install(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	cfg := rig.Load(t, string(erp.Config), "ROWFEED_AUTH_JWT_SECRET="+rig.Secret)
	s, err := schema.Read(t.Context(), conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "erp/rowfeed.d.ts", s.TypeScript())
	document, err := s.AsyncAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "erp/asyncapi.yaml", document)
	again, err := schema.Read(t.Context(), conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if again.TypeScript() != s.TypeScript() {
		t.Error("a second look at the same tables gives other types")
	}
}
