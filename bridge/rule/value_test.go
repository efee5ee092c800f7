package rule_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

// single is a relation of a key and one value of the kind, and a rule that writes the value wherever one can stand.
func single(kind change.Kind, sqlType string, quoted bool) (*change.Relation, config.Rule) {
	rel := &change.Relation{Table: "public.single", Key: []int{0}, Columns: []change.Column{
		{Name: "v", Kind: kind, Type: sqlType},
	}}
	r := config.Rule{Table: "single", Event: "e", Resource: "r", Columns: []string{"v"}, Tenant: "any",
		Audience: []string{"role:all", "v:{v}"}, Message: "<{v}>", Link: "/{v}/"}
	if quoted {
		r.Strings = []string{"v"}
	}
	return rel, r
}

// frame is a decoded frame; Value is data.v as it is written.
type frame struct {
	Key  json.RawMessage `json:"resource_id"`
	Data struct {
		Value json.RawMessage `json:"v"`
	} `json:"data"`
	Message string `json:"message"`
	Link    string `json:"link"`
}

func TestValues(t *testing.T) {
	t.Parallel()
	bits := func(f float64) string { return fmt.Sprintf("%016x", math.Float64bits(f)) }
	for _, test := range []struct {
		kind      change.Kind
		sqlType   string
		captured  string
		json      string
		quoted    string
		plainText string
	}{
		{change.Integer, "", "-9223372036854775808", "-9223372036854775808", `"-9223372036854775808"`,
			"-9223372036854775808"},
		{change.Integer, "", "0", "0", `"0"`, "0"},
		{change.Integer, "", "", `""`, `""`, ""},
		{change.Numeric, "", "0.10", "0.10", `"0.10"`, "0.10"},
		{change.Numeric, "", "-Infinity", `"-Infinity"`, `"-Infinity"`, "-Infinity"},
		{change.Numeric, "", "01", `"01"`, `"01"`, "01"},
		{change.Float, "", bits(0.1), "0.1", `"0.1"`, "0.1"},
		{change.Float, "", bits(1e21), "1e+21", `"1e+21"`, "1e+21"},
		{change.Float, "", bits(123456789012345680000), "123456789012345680000", `"123456789012345680000"`,
			"123456789012345680000"},
		{change.Float, "", bits(1e-7), "1e-7", `"1e-7"`, "1e-7"},
		{change.Float, "", bits(1.5e-300), "1.5e-300", `"1.5e-300"`, "1.5e-300"},
		{change.Float, "", bits(math.NaN()), `"NaN"`, `"NaN"`, "NaN"},
		{change.Float, "", bits(math.Inf(-1)), `"-Infinity"`, `"-Infinity"`, "-Infinity"},
		{change.Float, "", bits(math.Inf(1)), `"Infinity"`, `"Infinity"`, "Infinity"},
		{change.Float, "", "3ff", `"3ff"`, `"3ff"`, "3ff"},
		{change.Float, "real", bits(float64(float32(3.4e38))), "3.4e+38", `"3.4e+38"`, "3.4e+38"},
		{change.Bool, "", "false", "false", `"false"`, "false"},
		{change.Bool, "", "maybe", `"maybe"`, `"maybe"`, "maybe"},
		{change.Text, "", "a\x00\x7f\xff", `"a\u0000` + "\x7f" + `\ufffd"`, `"a\u0000` + "\x7f" + `\ufffd"`,
			"a\x00\x7f\ufffd"},
		{change.JSON, "", "{\"a\":\n 1.50}", `{"a":  1.50}`, `"{\"a\":\n 1.50}"`, "{\"a\":\n 1.50}"},
		{change.JSON, "", ` "x\u00e9\n"`, ` "x\u00e9\n"`, `"x\u00e9\n"`, "xé\n"},
		{change.JSON, "", `null`, `null`, `"null"`, "null"},
		{change.JSON, "", "\"\xff\"", "\"\ufffd\"", "\"\ufffd\"", "\ufffd"},
		{change.Timestamptz, "", `"0044-03-15T12:00:00 BC"`, `"0044-03-15T12:00:00Z BC"`,
			`"0044-03-15T12:00:00Z BC"`, "0044-03-15T12:00:00Z BC"},
		{change.Timestamptz, "", `"-infinity"`, `"-infinity"`, `"-infinity"`, "-infinity"},
		{change.Timestamptz, "", `"2026-11-23T08:15:02.1"`, `"2026-11-23T08:15:02.1Z"`, `"2026-11-23T08:15:02.1Z"`,
			"2026-11-23T08:15:02.1Z"},
		{change.Timestamptz, "", "gone", `"gone"`, `"gone"`, "gone"},
		{change.Bytes, "", "00ff", `"\\x00ff"`, `"\\x00ff"`, `\x00ff`},
		{change.Bytes, "", "", `"\\x"`, `"\\x"`, `\x`},
	} {
		for _, quoted := range []bool{false, true} {
			want := test.json
			if quoted {
				want = test.quoted
			}
			rel, r := single(test.kind, test.sqlType, quoted)
			out := apply(compile(t, r), changed(rel, nil, row(test.captured)))
			var f frame
			if err := json.Unmarshal([]byte(out.events[0].frames[change.Whole]), &f); err != nil {
				t.Fatal(err)
			}
			if string(f.Data.Value) != strings.TrimSpace(want) || string(f.Key) != strings.TrimSpace(want) {
				t.Errorf("%s %q: data %s, key %s, want %s", test.kind, test.captured, f.Data.Value, f.Key, want)
			}
			if f.Message != "<"+test.plainText+">" {
				t.Errorf("%s %q: message %q", test.kind, test.captured, f.Message)
			}
			if linked, err := url.PathUnescape(f.Link); err != nil ||
				strings.ToValidUTF8(linked, "\ufffd") != "/"+test.plainText+"/" {
				t.Errorf("%s %q: link %q", test.kind, test.captured, f.Link)
			}
			if got := out.events[0].now["v"]; strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("%s %q: field %s, want %s", test.kind, test.captured, got, want)
			}
		}
	}
}

// TestRandomRows writes random values as the capture does, and wants a decoder to read the same values.
func TestRandomRows(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	ch := compile(t, every)
	for range 3000 {
		wanted := map[string]any{}
		r := make(change.Row, len(values.Columns))
		for i, c := range values.Columns {
			if i > 0 && rng.IntN(8) == 0 {
				wanted[c.Name] = nil
				continue
			}
			captured, want := random(rng, c)
			r[i], wanted[c.Name] = []byte(captured), want
		}
		out := apply(ch, changed(values, nil, r))
		text := out.events[0].frames[change.Whole]
		var f struct {
			Key  any            `json:"resource_id"`
			Data map[string]any `json:"data"`
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if !reflect.DeepEqual(f.Data, wanted) || f.Key != wanted["id"] {
			t.Fatalf("decoded %v, want %v, of %s", f.Data, wanted, text)
		}
		if bytes.ContainsAny([]byte(text), "\n\r") || !utf8.ValidString(text) {
			t.Fatalf("not one line of UTF-8: %q", text)
		}
	}
}

// random returns a value as it is captured and as encoding/json decodes what is sent.
func random(rng *rand.Rand, c change.Column) (captured string, want any) {
	switch c.Kind {
	case change.Integer:
		n := strconv.FormatInt(int64(rng.Uint64()), 10)
		return n, json.Number(n)
	case change.Numeric:
		n := new(big.Float).SetInt64(int64(rng.Uint64())).Text('f', rng.IntN(20))
		return n, json.Number(n)
	case change.Float:
		f := math.Float64frombits(rng.Uint64() &^ (1 << 62)) // no NaN, no Infinity
		if c.Type == "real" {
			f = float64(float32(rng.NormFloat64()))
			short, _ := json.Marshal(float32(f))
			return fmt.Sprintf("%016x", math.Float64bits(f)), json.Number(short)
		}
		short, _ := json.Marshal(f)
		return fmt.Sprintf("%016x", math.Float64bits(f)), json.Number(short)
	case change.Bool:
		b := rng.IntN(2) == 0
		return strconv.FormatBool(b), b
	case change.JSON:
		tree := map[string]any{"k" + randomText(rng): []any{json.Number(strconv.Itoa(rng.Int())), nil, true}}
		text, _ := json.MarshalIndent(tree, "", " ")
		var decoded any
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		_ = dec.Decode(&decoded)
		return string(text), decoded
	case change.Timestamptz:
		at := time.UnixMicro(rng.Int64N(4e15)).UTC().Format("2006-01-02T15:04:05.999999")
		return `"` + at + `"`, at + "Z"
	case change.Bytes:
		b := []byte(randomText(rng))
		return hex.EncodeToString(b), `\x` + hex.EncodeToString(b)
	}
	text := randomText(rng)
	return text, string([]rune(text)) // a byte that is no UTF-8 becomes U+FFFD
}

func randomText(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(12) {
		switch rng.IntN(4) {
		case 0:
			b.WriteByte(byte(rng.IntN(256)))
		case 1:
			b.WriteRune(rune(rng.IntN(0x2100)))
		case 2:
			b.WriteRune(rune(rng.IntN(utf8.MaxRune + 1)))
		default:
			b.WriteByte("\"\\/{}<&"[rng.IntN(7)])
		}
	}
	return b.String()
}

var kinds = []change.Kind{change.Integer, change.Numeric, change.Float, change.Bool, change.Text, change.JSON,
	change.Timestamptz, change.Bytes}

// FuzzValue holds whatever the outbox may hold to become a valid frame. A json value is one by the database's word.
func FuzzValue(f *testing.F) {
	for i, v := range everyRow {
		f.Add(uint8(i), v, i%2 == 0, false)
	}
	for i := range kinds {
		f.Add(uint8(i), []byte("\"\\\xff\xe2\x80\xa8\x00"), false, true)
		f.Add(uint8(i), []byte(` [1,{"a":[]}]`), true, true)
	}
	f.Fuzz(func(t *testing.T, kind uint8, v []byte, quoted, short bool) {
		k := kinds[int(kind)%len(kinds)]
		if k == change.JSON && !json.Valid(v) {
			v, _ = json.Marshal(string(v))
		}
		sqlType := ""
		if short {
			sqlType = "real"
		}
		rel, r := single(k, sqlType, quoted)
		out := apply(compile(t, r), changed(rel, nil, change.Row{append([]byte{}, v...)}))
		if len(out.events) != 1 {
			t.Fatalf("%d events, faults %v", len(out.events), out.faults)
		}
		for variant, text := range out.events[0].frames {
			if !json.Valid([]byte(text)) || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n") {
				t.Errorf("variant %d of %s %q: %q", variant, k, v, text)
			}
		}
		field := []byte(out.events[0].now["v"])
		if !json.Valid(field) || quoted && bytes.TrimSpace(field)[0] != '"' {
			t.Errorf("field of %s %q: %q", k, v, field)
		}
	})
}
