package config

import (
	"fmt"
	"strings"
)

// Unavailable returns what the configuration asks for and this version of rowfeed can't do yet, so that serve can
// refuse instead of ignoring it.
func (c *Config) Unavailable() Problems {
	var found Problems
	add := func(key, what, do string) {
		found = append(found, Problem{Key: key, What: what + " not available in this version", Do: do})
	}
	for _, name := range sorted(c.Channels) {
		for i, rule := range c.Channels[name].Rules {
			key := fmt.Sprintf("%s.rules[%d]", join("channels", name), i)
			if rule.Inbox != nil {
				add(key+".inbox", "keeping notifications is", "remove it; the rule's events are sent without")
			}
			if strings.HasPrefix(rule.Table, c.Database.Schema+".") {
				add(key+".table", "rowfeed's own table "+clean(rule.Table)+" is",
					"remove the rule, or name the ERP's own table of notifications")
			}
		}
	}
	for i := range c.Leases {
		add(fmt.Sprintf("leases[%d]", i), "leases are", "remove it")
	}
	for i := range c.Presence.Rooms {
		add(fmt.Sprintf("presence.rooms[%d]", i), "presence is", "remove it")
	}
	for _, name := range sorted(c.Metrics) {
		add(join("metrics", name), "dashboard queries are", "remove it")
	}
	return c.Locate(found)
}
