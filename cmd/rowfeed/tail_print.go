package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// frames prints events as they came, a line each.
type frames struct{ out io.Writer }

func (f *frames) print(frame []byte) error {
	if bytes.ContainsAny(frame, "\r\n") {
		var line bytes.Buffer
		if err := json.Compact(&line, frame); err != nil {
			return fmt.Errorf("compact frame: %w", err)
		}
		frame = line.Bytes()
	}
	_, err := f.out.Write(append(frame, '\n'))
	return err
}

// lines prints events for people: time, op, resource and key, type, then the message or what changed. The columns grow
// with what they have held, up to a limit.
type lines struct {
	out        io.Writer
	colour     bool
	zone       *time.Location // nil: the machine's
	row, event int            // widths so far
}

// event is what lines shows of a frame.
type event struct {
	Type       string          `json:"type"`
	Resource   string          `json:"resource"`
	ResourceID json.RawMessage `json:"resource_id"`
	Channel    string          `json:"channel"`
	Op         string          `json:"op"`
	At         time.Time       `json:"at"`
	Data       json.RawMessage `json:"data"`
	Old        json.RawMessage `json:"old"`
	Message    string          `json:"message"`
	Reason     string          `json:"reason"`
}

const (
	widest  = 48 // runes of an aligned column
	longest = 60 // runes of a value
)

// opColours are the ANSI colours of the operations.
var opColours = map[string]string{"insert": "32", "update": "33", "delete": "31", "enter": "36", "leave": "35"}

func (l *lines) print(frame []byte) error {
	var e event
	if err := json.Unmarshal(frame, &e); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	zone := l.zone
	if zone == nil {
		zone = time.Local
	}
	row := printable(e.Resource)
	if id := scalarText(e.ResourceID); id != "" {
		row += "/" + id
	}
	kind, detail := printable(e.Type), printable(e.Message)
	if detail == "" {
		detail = e.fields()
	}
	l.row, l.event = grow(l.row, row), grow(l.event, kind)
	line := l.paint("2", e.At.In(zone).Format("15:04:05.000")) + " " +
		l.paint(opColours[e.Op], pad(printable(e.Op), 6)) + " " + pad(row, l.row) + "  " + pad(kind, l.event) + "  " + detail
	_, err := io.WriteString(l.out, strings.TrimRight(line, " ")+"\n")
	return err
}

// fields lists what changed as old → new, else the data.
func (e *event) fields() string {
	if e.Op == "leave" {
		return "no longer visible"
	}
	if e.Reason != "" {
		return printable(e.Reason)
	}
	now := object(e.Data)
	var parts []string
	for _, was := range object(e.Old) {
		for _, is := range now {
			if is.name == was.name {
				parts = append(parts, is.name+": "+scalarText(was.value)+" → "+scalarText(is.value))
			}
		}
	}
	if len(parts) > 0 {
		return strings.Join(parts, ", ")
	}
	for _, f := range now {
		parts = append(parts, f.name+"="+scalarText(f.value))
	}
	return strings.Join(parts, " ")
}

// field is a member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// object returns the members of a JSON object in their order.
func object(raw json.RawMessage) []field {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil
	}
	var members []field
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return members
		}
		members = append(members, field{printable(fmt.Sprint(name)), value})
	}
	return members
}

// scalarText shows a JSON value: a text without its quotes, everything else as it is, what is long cut off.
func scalarText(raw json.RawMessage) string {
	text := string(raw)
	var unquoted string
	if json.Unmarshal(raw, &unquoted) == nil && text != "null" {
		text = unquoted
	}
	if utf8.RuneCountInString(text) > longest {
		text = string([]rune(text)[:longest-1]) + "…"
	}
	return printable(text)
}

// printable shows what is not printable as an escape: a row's text must not command the terminal that shows it.
func printable(text string) string {
	odd := func(c rune) bool { return !unicode.IsPrint(c) || c == utf8.RuneError }
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if odd(c) {
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func (l *lines) paint(code, text string) string {
	if !l.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// grow returns the width of a column after text.
func grow(width int, text string) int {
	return max(width, min(utf8.RuneCountInString(text), widest))
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// colourful reports whether stdout is a terminal whose user has nothing against colours: https://no-color.org.
func colourful(env *environment) bool {
	file, ok := env.stdout.(*os.File)
	if !ok || env.variable("NO_COLOR") != "" || env.variable("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
