package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"nalar.internal/rowfeed/bridge/explain"
)

// reportPrinter prints reports for people.
type reportPrinter struct {
	out    io.Writer
	colour bool
}

// gateWidth aligns the gates' names, verdictWidth what they say.
const (
	gateWidth    = len("subscribed")
	verdictWidth = len("not known")
	reportWidth  = 110
)

// verdictColours are the ANSI colours of the verdicts.
var verdictColours = map[explain.Verdict]string{explain.Yes: "32", explain.No: "31", explain.Unknown: "33"}

func (p *reportPrinter) print(r *explain.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.out).Encode(r)
	}
	var b strings.Builder
	if r.Node != "" {
		fmt.Fprintf(&b, "%s\n", p.paint("1", "node "+printable(r.Node)))
	}
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "\n%s of %s in channel %s at %s, transaction %s\n", printable(c.Op), printable(c.Table), printable(c.Channel),
			c.At.UTC().Format("2006-01-02T15:04:05.000Z"), printable(c.Txid))
		p.gates(&b, "  ", c.Gates)
		for _, rule := range c.Rules {
			p.rule(&b, rule)
		}
	}
	if len(r.Gates) > 0 {
		b.WriteString("\n")
		p.gates(&b, "  ", r.Gates)
	}
	_, err := io.WriteString(p.out, b.String()+"\n")
	return err
}

func (p *reportPrinter) rule(b *strings.Builder, r *explain.Rule) {
	fmt.Fprintf(b, "\n  %s: %s %s of %s/%s\n", printable(r.Rule), printable(r.Event), printable(r.Op), printable(r.Resource), printable(r.Key))
	fmt.Fprintf(b, "  event %s\n", printable(r.ID))
	p.gates(b, "    ", r.Gates)
	for _, s := range r.Sessions {
		fmt.Fprintf(b, "    session %s%s\n", printable(s.ID), printable(sessionWord(s)))
		p.gates(b, "      ", s.Gates)
	}
	outcome := "Not sent"
	switch {
	case r.Outcome.Verdict == explain.Yes && r.Outcome.Name == explain.Written:
		fmt.Fprintf(b, "    %s.\n", p.paint(verdictColours[explain.Yes], "Sent"))
		return
	case r.Outcome.Verdict == explain.Yes: // no bridge was asked
		outcome = "For those in the audience"
	case r.Outcome.Verdict == explain.Unknown:
		outcome = "Not known whether it was sent"
	}
	fmt.Fprintf(b, "    %s: %s decides.\n", p.paint(verdictColours[r.Outcome.Verdict], outcome), r.Outcome.Name)
}

func sessionWord(s *explain.Session) string {
	text := ""
	if s.Kind != "" {
		text += ", " + s.Kind
	}
	if s.Tenant != "" {
		text += ", tenant " + s.Tenant
	}
	if s.Issuer != "" {
		text += ", issuer " + s.Issuer
	}
	text += ", opened " + s.Opened.UTC().Format(time.RFC3339)
	if s.Ended != nil {
		text += ", ended " + s.Ended.UTC().Format(time.RFC3339)
	}
	return text
}

// gates prints a line for each, with long sentences broken.
func (p *reportPrinter) gates(b *strings.Builder, indent string, gates []explain.Gate) {
	for _, g := range gates {
		verdict := p.paint(verdictColours[g.Verdict], pad(printable(string(g.Verdict)), verdictWidth))
		fmt.Fprintf(b, "%s%s  %s  ", indent, pad(printable(g.Name), gateWidth), verdict)
		margin := len(indent) + gateWidth + verdictWidth + 4
		at := margin
		for i, word := range strings.Fields(printable(g.Text)) {
			n := utf8.RuneCountInString(word)
			switch {
			case i == 0:
			case at+1+n > reportWidth:
				b.WriteString("\n" + strings.Repeat(" ", margin))
				at = margin
			default:
				b.WriteString(" ")
				at++
			}
			b.WriteString(word)
			at += n
		}
		b.WriteString("\n")
	}
}

func (p *reportPrinter) paint(code, text string) string {
	return (&lines{colour: p.colour}).paint(code, text)
}
