package rule

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"nalar.internal/rowfeed/bridge/change"
	"nalar.internal/rowfeed/config"
)

func TestParseTemplate(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]part{
		"":               nil,
		"role:all":       {{literal: "role:all"}},
		"{a}":            {{column: "a"}},
		"u:{a}/{ b_2 }!": {{literal: "u:"}, {column: "a"}, {literal: "/"}, {column: "b_2"}, {literal: "!"}},
		"{{a}}{{{a}}}":   {{literal: "{a}{"}, {column: "a"}, {literal: "}"}},
		"Zoë }}{{":       {{literal: "Zoë }{"}},
	} {
		if got, err := parseTemplate(source); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v, want %v", source, got, err, want)
		}
	}
	for _, source := range []string{"{", "}", "{a", "a}", "{}", "{ }", "{a{b}}", "{{a}", "{a}}", "{{}{"} {
		if got, err := parseTemplate(source); err == nil {
			t.Errorf("%q: %v, want an error", source, got)
		}
	}
}

// FuzzTemplate holds what parses to be what was written, and each template to write valid JSON over any value.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"Your {a} is {{low}}", "/x/{a}?q={a}", "{a}", "javascript:{a}", "\"\\\n\x00\xff"} {
		f.Add(seed, "a \"value\"\n/../?#%\xff")
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		parts, err := parseTemplate(source)
		if err != nil {
			return
		}
		var written strings.Builder
		for _, p := range parts {
			if p.column != "" {
				written.WriteString("{" + p.column + "}")
				continue
			}
			written.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.literal))
		}
		again, err := parseTemplate(written.String())
		if err != nil || !reflect.DeepEqual(again, parts) {
			t.Fatalf("%q parses to %v, written again to %v, %v", source, parts, again, err)
		}
		r := &rule{columns: []string{"a"}, quoted: []bool{false}}
		b := newBound(r, &change.Relation{Columns: []change.Column{{Name: "a", Kind: change.Text}}, Key: []int{0}})
		var c compiler
		c.columns = []string{"a"}
		tmpl := c.template("message", source).escapeLiterals()
		if len(c.problems) > 0 {
			return
		}
		row := change.Row{[]byte(value)}
		message := append(b.appendMessage([]byte{'"'}, tmpl, row, nil), '"')
		link := append(b.appendLink([]byte{'"'}, tmpl, row, nil), '"')
		if !json.Valid(message) || !json.Valid(link) {
			t.Errorf("%q over %q: message %s, link %s", source, value, message, link)
		}
	})
}

// TestLink holds values to stay one piece of the address, and an address of its own to be safe to click.
func TestLink(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ template, value, want string }{
		{"/x/{v}", "a/../b?c#d%e f&g=é", "/x/" + url.QueryEscape("a/../b?c#d%e_f&g=é")},
		{"/x?q={v}&r=1", "a&b=c", "/x?q=a%26b%3Dc&r=1"},
		{"{v}", "/hr/leave/7?tab=days#top", "/hr/leave/7?tab=days#top"},
		{"{v}", "https://erp.example/x:y", "https://erp.example/x:y"},
		{"{v}", "HTTP://erp.example", "HTTP://erp.example"},
		{"{v}", "mailto:a@b.example", "mailto:a@b.example"},
		{"{v}", "?page=a:b", "?page=a:b"},
		{"{v}", "relative", "relative"},
		{"{v}", "", ""},
		{"{v}", "javascript:alert(1)", ""},
		{"{v}", " java\nscript:alert(1)", ""},
		{"{v}", "data:text/html,x", ""},
		{"{v}{v}", "javascript:", "javascript%3Ajavascript%3A"},
	} {
		value := strings.ReplaceAll(test.value, "e f", "e_f")
		cfg := &config.Config{Channels: map[string]config.Channel{"c": {Rules: []config.Rule{{
			Table: "t", Columns: []string{"v"}, Tenant: "any", Audience: []string{"a"}, Link: test.template}}}}}
		book, problems := Compile(cfg)
		if len(problems) > 0 {
			t.Fatal(config.Problems(problems))
		}
		rel := &change.Relation{Table: "public.t", Key: []int{0},
			Columns: []change.Column{{Name: "v", Kind: change.Text}}}
		var got link
		c := &change.Change{Relation: rel, Op: change.Insert, New: change.Row{[]byte(value)}}
		book.Channel("c").Apply(change.Place{Epoch: "e"}, c, &got)
		if string(got) != test.want {
			t.Errorf("%s over %q: %q, want %q", test.template, value, got, test.want)
		}
	}
}

// link is an Output that keeps the newest event's link.
type link string

func (l *link) Event(e *change.Event) {
	var frame struct{ Link string }
	if err := json.Unmarshal(e.Message(change.Whole, true).Payload(), &frame); err != nil {
		panic(err)
	}
	*l = link(frame.Link)
}

func (l *link) Notice(n change.Notice) { panic(n) }
func (l *link) Fault(f Fault)          { panic(f.Err) }
