package audience

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	c := decode(t, `{"id":42,"big":12345678901234567890,"s":"a","yes":true,"null":null,"empty":"","list":[1,"b",null],
		"none":[],"lists":[[1]],"object":{"a":{"b":"deep"},"a.b":"near"},"object.a":{"c":"later"},"objects":[{"a":1}],
		"https://nalar.example/roles":["x"],"cognito:groups":["g"],"nul":"\u0000","nulls":["a","\u0001"],"lone":"\ud800"}`)
	for source, test := range map[string]struct {
		want []string
		err  error
	}{
		"staff":                         {[]string{"staff"}, nil},
		"user:{id}":                     {[]string{"user:42"}, nil},
		"{{{ id }}}{{{{":                {[]string{"{42}{{"}, nil},
		"{big}":                         {[]string{"12345678901234567890"}, nil},
		"{s}{id}-{yes}":                 {[]string{"a42-true"}, nil},
		"w:{list}":                      {[]string{"w:1", "w:b"}, nil},
		"{list}/{list}":                 {[]string{"1/1", "1/b", "b/1", "b/b"}, nil},
		"{object.a.b}":                  {[]string{"near"}, nil},
		"{object.a.c}":                  {[]string{"later"}, nil},
		"{https://nalar.example/roles}": {[]string{"x"}, nil},
		"{cognito:groups}":              {[]string{"g"}, nil},
		"w:{missing}":                   {nil, nil},
		"w:{null}":                      {nil, nil},
		"w:{empty}":                     {nil, nil},
		"w:{none}":                      {nil, nil},
		"{id}{object.b.a}":              {nil, nil},
		"w:{id.a}":                      {nil, nil},
		"w:{lists}":                     {nil, errNotScalar},
		"w:{object}":                    {nil, errNotScalar},
		"w:{objects}":                   {nil, errNotScalar},
		"w:{nul}":                       {nil, errUnclean},
		"w:{nulls}":                     {nil, errUnclean},
		"w:{lone}":                      {nil, errUnclean}, // as \ud801 would read
	} {
		tmpl, err := parseTemplate(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got, err := tmpl.all(c)
		if !slices.Equal(got, test.want) || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v; want %q, %v", source, got, err, test.want, test.err)
		}
	}
	for _, source := range []string{
		"", "{", "}", "a{b", "a}b", "{}", "{a{b}", "{a}}", "{ }", "a\x00", strings.Repeat("a", maxValue+1),
	} {
		if _, err := parseTemplate(source); err == nil {
			t.Errorf("%q: no error", source)
		}
	}
}

func TestTemplateBounds(t *testing.T) {
	t.Parallel()
	c := map[string]any{"long": strings.Repeat("x", maxValue), "many": slices.Repeat([]any{"x"}, maxGrants)}
	for source, want := range map[string]error{
		"{long}": nil, "{long}x": errUnclean, "{many}": nil, "{many}{many}": errTooMany,
	} {
		tmpl, err := parseTemplate(source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tmpl.all(c); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", source, err, want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" Ana\tLima\n":                       "Ana Lima",
		strings.Repeat("é", maxName/2) + "é": strings.Repeat("é", maxName/2),
		"x" + strings.Repeat("é", maxName/2): "x" + strings.Repeat("é", maxName/2-1),
		strings.Repeat("\x80", maxName+1):    "",
		"\u202eevil":                         "\u202eevil", // how to show it is the page's business
	} {
		if got := displayName(in); strings.TrimRight(got, "\ufffd") != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("user:{user_id}", `{"user_id":42}`)
	f.Add("w:{a.b}/{a}", `{"a":{"b":[1,"x",null,true]},"a.b":{}}`)
	f.Add("{l}{l}", `{"l":["\u0000",[],{}]}`)
	f.Fuzz(func(t *testing.T, source, text string) {
		tmpl, err := parseTemplate(source)
		if err != nil {
			return
		}
		var c map[string]any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&c) != nil {
			return
		}
		texts, err := tmpl.all(c)
		if err != nil && texts != nil || len(texts) > maxGrants {
			t.Fatalf("%d texts, %v", len(texts), err)
		}
		one, errOne := tmpl.one(c)
		if errOne == nil && one != "" && !slices.Equal(texts, []string{one}) {
			t.Fatalf("one %q, all %q", one, texts)
		}
		for _, s := range texts {
			if s == "" || len(s) > maxValue || strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("made %q", s)
			}
		}
	})
}
