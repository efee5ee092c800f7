package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"nalar.internal/rowfeed/bridge/change"
)

// maxGrants is how many grants one row's audience may have; arrays multiply.
const maxGrants = 10_000

var (
	errArray  = errors.New("a JSON array can't be read")
	errObject = errors.New("a JSON object can't stand in an audience, nor an array in a tenant: use a scalar")
	errTenant = errors.New("the tenant has a control character")
	errGrants = fmt.Errorf("the audience has more than %d grants", maxGrants)
)

// setStatic prepares the audience of a rule in which no column decides it.
func (r *rule) setStatic() {
	if len(r.scope) > 0 {
		return
	}
	tenant := change.AnyTenant
	if !r.anyTenant {
		tenant = r.tenant.literal()
	}
	r.static = []string{}
	for _, t := range r.audience {
		if grant := t.literal(); grant != "" {
			r.static = union(r.static, []string{change.Scope(tenant, grant)})
		}
	}
}

// literal returns the text of a template that reads no column.
func (t template) literal() string {
	var text []byte
	for _, s := range t {
		text = append(text, s.literal...)
	}
	return string(text)
}

// start returns the literal text that the template begins with: all that is known of a grant when its values are not.
func (t template) start() string {
	if len(t) > 0 && t[0].index < 0 {
		return string(t[0].literal)
	}
	return ""
}

// audience returns the scoped audience of a row, in dst[:0] or, where no column decides it, shared by all events. It is
// never nil: nobody is an empty audience. err tells of values that gave no grant though they are there; how the grants
// begin that they might have given is added to s.unknown.
func (s *state) audience(b *bound, row change.Row, dst []string) (list []string, err error) {
	r := b.rule
	if r.static != nil {
		return r.static, nil
	}
	s.text, s.ends = s.text[:0], s.ends[:0]
	if s.scope, err = s.tenant(b, row, s.scope[:0]); err != nil || len(s.scope) == 0 {
		return nobody(dst), err
	}
	for _, t := range r.audience {
		if failed := s.grants(b, t, row); failed != nil {
			err = failed
			s.unknown = union(s.unknown, []string{string(s.scope) + t.start()})
		}
	}
	// One string for all of them, and none if it is the same as that of the event before.
	if s.last != string(s.text) {
		s.last = string(s.text)
	}
	list = nobody(dst)
	start := 0
	for _, end := range s.ends {
		list = append(list, s.last[start:end])
		start = end
	}
	return distinct(list), err
}

func nobody(dst []string) []string {
	if dst == nil {
		return []string{}
	}
	return dst[:0]
}

// tenant appends the scope's first part, the tenant and its separator; nothing where the row has no tenant.
func (s *state) tenant(b *bound, row change.Row, dst []byte) ([]byte, error) {
	r := b.rule
	if r.anyTenant {
		return append(dst, change.AnyTenant+"\x00"...), nil
	}
	for i := range r.tenant {
		if r.tenant[i].index < 0 {
			dst = append(dst, r.tenant[i].literal...)
			continue
		}
		c := b.columns[r.tenant[i].index]
		shape := c.shape(row[c.pos])
		if shape == '{' || shape == '[' {
			return dst[:0], errObject
		}
		v := c.plain(s.room[:0], row[c.pos])
		if len(v) == 0 || shape == 'n' {
			return dst[:0], nil
		}
		dst = append(dst, v...)
	}
	// change.Scope keeps tenants apart by a control character, and AnyTenant is one.
	if slices.ContainsFunc(dst, isControl) {
		return dst[:0], errTenant
	}
	return append(dst, 0), nil
}

func isControl(b byte) bool { return b < 0x20 || b == 0x7f }

// grants appends the scoped grants of one template to s.text and s.ends.
func (s *state) grants(b *bound, t template, row change.Row) error {
	start := len(s.text)
	s.text = append(s.text, s.scope...)
	for i := range t {
		if t[i].index < 0 {
			s.text = append(s.text, t[i].literal...)
			continue
		}
		c := b.columns[t[i].index]
		shape := c.shape(row[c.pos])
		if shape == '[' || shape == '{' {
			s.text = s.text[:start]
			return s.products(b, t, row)
		}
		v := c.plain(s.room[:0], row[c.pos])
		if len(v) == 0 || shape == 'n' {
			s.text = s.text[:start]
			return nil
		}
		s.text = append(s.text, v...)
	}
	if len(t) == 0 {
		s.text = s.text[:start]
		return nil
	}
	s.ends = append(s.ends, len(s.text))
	return nil
}

// products appends a grant for each item of the arrays that the template reads, and for each combination of several. A
// value that gives none makes it nobody's, whatever the others are.
func (s *state) products(b *bound, t template, row change.Row) (failed error) {
	grants := []string{string(s.scope)}
	for i := range t {
		values := []string{string(t[i].literal)}
		if t[i].index >= 0 {
			c := b.columns[t[i].index]
			var err error
			if values, err = c.items(row[c.pos]); err != nil {
				failed = err
				continue
			}
		}
		if len(values) == 0 {
			return nil
		}
		if len(grants)*len(values) > maxGrants {
			failed = errGrants
			continue
		}
		longer := make([]string, 0, len(grants)*len(values))
		for _, grant := range grants {
			for _, value := range values {
				longer = append(longer, grant+value)
			}
		}
		grants = longer
	}
	if failed != nil {
		return failed
	}
	for _, grant := range grants {
		s.text = append(s.text, grant...)
		s.ends = append(s.ends, len(s.text))
	}
	return nil
}

// shape returns the first character of a JSON value, which tells its type ('n' is null); 0 for all other kinds.
func (c column) shape(v []byte) byte {
	if c.kind != document {
		return 0
	}
	if v = bytes.TrimSpace(v); len(v) == 0 {
		return 0
	}
	return v[0]
}

// items returns the texts that a value gives to an audience: those of a JSON array's scalars, of arrays within it too,
// or the value's own. NULL, null and empty texts give none.
func (c column) items(v []byte) ([]string, error) {
	switch c.shape(v) {
	case '[':
		var array []json.RawMessage
		if err := json.Unmarshal(v, &array); err != nil {
			return nil, errArray
		}
		var list []string
		for _, item := range array {
			texts, err := c.items(item)
			if err != nil {
				return nil, err
			}
			list = append(list, texts...)
		}
		return list, nil
	case '{':
		return nil, errObject
	case 'n':
		return nil, nil
	}
	if text := c.plain(nil, v); len(text) > 0 {
		return []string{string(text)}, nil
	}
	return nil, nil
}

// distinct removes repeated strings; the order stays.
func distinct(list []string) []string {
	if len(list) > 16 {
		seen := make(map[string]bool, len(list))
		return slices.DeleteFunc(list, func(s string) bool {
			twice := seen[s]
			seen[s] = true
			return twice
		})
	}
	kept := list[:0]
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
