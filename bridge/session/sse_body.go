package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// What the body of a POST may have.
var (
	bodyFields         = []string{"subscriptions"}
	subscriptionFields = []string{"ref", "channel", "resource", "key", "where", "cursor", "rewind"}
)

// readSubscriptions reads the body of a POST, which may be as long as a frame.
func readSubscriptions(w http.ResponseWriter, r *http.Request) ([]clientFrame, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFrame))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, refusal{http.StatusRequestEntityTooLarge, errTooLarge, "the body is longer than 32 KiB"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refusal{http.StatusRequestTimeout, errBadRequest, "the body did not arrive in time"}
	case err != nil:
		return nil, refusal{http.StatusBadRequest, errBadRequest, "the body did not arrive whole"}
	}
	list, err := parseSubscriptions(b)
	if err != nil {
		return nil, refusal{http.StatusBadRequest, errBadRequest, err.Error()}
	}
	return list, nil
}

// parseSubscriptions reads {"subscriptions":[{…}]}. The list may be empty: who asks is told who they are, and hears the
// heartbeats. Names are exact; errors name what is unknown.
func parseSubscriptions(b []byte) ([]clientFrame, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("the body is not UTF-8")
	}
	var body struct {
		Subscriptions []json.RawMessage `json:"subscriptions"`
	}
	if err := decodeStrict(b, bodyFields, &body); err != nil {
		return nil, fmt.Errorf("the body %w", err)
	}
	if body.Subscriptions == nil {
		return nil, errors.New(`the body names no subscriptions: send {"subscriptions":[{"channel":…}]}`)
	}
	list := make([]clientFrame, len(body.Subscriptions))
	for i, raw := range body.Subscriptions {
		if err := decodeStrict(raw, subscriptionFields, &list[i]); err != nil {
			return nil, fmt.Errorf("subscriptions[%d] %w", i, err)
		}
	}
	return list, nil
}

// decodeStrict decodes a JSON object that has no fields but the known ones.
func decodeStrict(b []byte, known []string, into any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil || fields == nil {
		return errors.New("is not a JSON object")
	}
	var unknown []string
	for name := range fields {
		if !slices.Contains(known, name) {
			unknown = append(unknown, quote(name))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		if len(unknown) > maxNamed {
			unknown = append(unknown[:maxNamed], "…")
		}
		return fmt.Errorf("has unknown fields: %s; there are: %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
	}
	err := json.Unmarshal(b, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("has %s of a wrong type, a %s", wrong.Field, wrong.Value)
	}
	return err
}

// maxNamed bounds how many unknown fields an error names.
const maxNamed = 5

// subscribeAll carries out each as a subscribe frame, answers included.
func (s *Session) subscribeAll(wanted []clientFrame) {
	for i := range wanted {
		f := &wanted[i]
		switch {
		case !s.alive():
			return
		case len(f.Ref) > maxRef:
			s.fault("", errTooLarge, "ref is longer than 64 bytes")
		default:
			s.subscribe(f)
		}
	}
}
