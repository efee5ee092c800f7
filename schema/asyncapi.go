package schema

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"go.yaml.in/yaml/v3"

	"nalar.internal/rowfeed/config"
)

const about = `Committed row changes of a PostgreSQL database, to those who may see the row.

/ws speaks the subprotocol rowfeed.v1: many subscriptions on one connection. The other addresses are plain
WebSockets: the path is the subscription, and event frames are all that comes; they close with 4005 where the
past can't be told. The same paths under /sse serve EventSource.`

// AsyncAPI returns an AsyncAPI 3.0 document of the bridge in YAML: its endpoints, its frames, and the events with their
// data as JSON Schema. The same schema and configuration give the same text.
func (s *Schema) AsyncAPI(cfg *config.Config) (string, error) {
	schemes := securitySchemes(cfg.Auth.JWT)
	messages, data := object{}, object{}
	for i := range controlFrames {
		messages = append(messages, member{controlFrames[i].name, controlFrames[i].message()})
	}
	s.each(func(c *Channel, r *Resource, e *Event) {
		name := eventID(c, r, e)
		messages = append(messages, member{name, eventMessage(c, r, e)})
		data = append(data, member{name, e.Data.jsonSchema()})
	})
	channels, operations := s.endpoints()
	document := object{
		{"asyncapi", "3.0.0"},
		{"info", object{{"title", "rowfeed"}, {"version", "1.0.0"}, {"description", about}}},
		{"defaultContentType", "application/json"},
		{"servers", object{{"bridge", server(cfg.Server, schemes)}}},
		{"channels", channels},
		{"operations", operations},
		{"components", object{{"messages", messages}, {"schemas", data}, {"securitySchemes", schemes}}},
	}
	var b bytes.Buffer
	b.WriteString("# Written by rowfeed types --asyncapi: run it again when the configuration or a table has changed.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(document); err != nil {
		return "", fmt.Errorf("write asyncapi document: %w", err)
	}
	return b.String(), nil
}

func (s *Schema) each(f func(*Channel, *Resource, *Event)) {
	for i := range s.Channels {
		c := &s.Channels[i]
		for j := range c.Resources {
			r := &c.Resources[j]
			for k := range r.Events {
				f(c, r, &r.Events[k])
			}
		}
	}
}

// server is the bridge. Its public address is not in the configuration: it is a variable.
func server(cfg config.Server, schemes object) object {
	protocol := "ws"
	if cfg.TLS.CertFile != "" {
		protocol = "wss"
	}
	host, port, _ := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	var security []object
	for _, m := range schemes {
		security = append(security, reference("components/securitySchemes/"+m.name))
	}
	return object{
		{"host", "{address}"},
		{"protocol", protocol},
		{"description", "The bridge."},
		{"variables", object{{"address", object{
			{"default", net.JoinHostPort(host, port)}, {"description", "Where the bridge is reached."}}}}},
		{"security", security},
	}
}

func securitySchemes(jwt config.JWT) object {
	schemes := object{
		{"bearer", object{{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"},
			{"description", "Authorization: Bearer, for clients that can set headers."}}},
		{"subprotocol", object{{"type", "httpApiKey"}, {"in", "header"}, {"name", "Sec-WebSocket-Protocol"},
			{"description", "An entry bearer.<jwt> beside rowfeed.v1, or beside rowfeed.plain; or, on /ws, an auth frame first."}}},
	}
	if jwt.Cookie != "" {
		schemes = append(schemes, member{"cookie", object{{"type", "httpApiKey"}, {"in", "cookie"}, {"name", jwt.Cookie},
			{"description", "The JWT as a cookie; the Origin has to be an allowed one."}}})
	}
	if jwt.QueryParameter != "" {
		schemes = append(schemes, member{"query", object{{"type", "httpApiKey"}, {"in", "query"}, {"name", jwt.QueryParameter},
			{"description", "The JWT in the URL."}}})
	}
	return schemes
}

// whole is the id of the full protocol's endpoint. A capital, as in Row: no channel of the configuration begins with one.
const whole = "Rowfeed"

// endpoints are the addresses and what is sent there, from the bridge's side: it sends events and receives requests.
func (s *Schema) endpoints() (channels, operations object) {
	var toClient, fromClient []string
	for _, f := range controlFrames {
		if f.fromClient {
			fromClient = append(fromClient, f.name)
		} else {
			toClient = append(toClient, f.name)
		}
	}
	s.each(func(c *Channel, r *Resource, e *Event) { toClient = append(toClient, eventID(c, r, e)) })
	channels = object{{whole, endpoint("/ws", "All channels on one connection, with the subprotocol rowfeed.v1.",
		append(fromClient, toClient...), false)}}
	operations = object{{"receiveRequests", operation("receive", whole, fromClient)},
		{"sendFrames", operation("send", whole, toClient)}}
	add := func(id, address, says string, events []string) {
		channels = append(channels, member{id, endpoint(address, says, events, true)})
		operations = append(operations, member{"send." + id, operation("send", id, events)})
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		var all []string
		for j := range c.Resources {
			all = append(all, c.Resources[j].eventIDs(c)...)
		}
		add(componentID(c.Name), "/ws/"+c.Name, "The events of the channel "+c.Name+", and nothing else.", all)
		for j := range c.Resources {
			r := &c.Resources[j]
			id, address := componentID(c.Name, r.Name), "/ws/"+c.Name+"/"+r.Name
			add(id, address, "Those of "+r.Name+".", r.eventIDs(c))
			add("Row."+id, address+"/{key}", "Those of one row of "+r.Name+".", r.eventIDs(c))
		}
	}
	return channels, operations
}

func endpoint(address, says string, messages []string, plain bool) object {
	list := object{}
	for _, m := range messages {
		list = append(list, member{m, reference("components/messages/" + m)})
	}
	o := object{{"address", address}, {"description", says}, {"messages", list}}
	if strings.HasSuffix(address, "{key}") {
		o = append(o, member{"parameters", object{{"key", object{{"description",
			"The row's key, percent-encoded; those of a composite key are separated by commas."}}}}})
	}
	binding := object{{"method", "GET"}}
	if plain {
		binding = append(binding, member{"query", object{{"type", "object"}, {"properties", object{{"cursor", cursor}}}}})
	} else {
		binding = append(binding, member{"headers", object{{"type", "object"},
			{"properties", object{{"Sec-WebSocket-Protocol", object{{"type", "string"}, {"pattern", `rowfeed\.v1`}}}}},
			{"required", []string{"Sec-WebSocket-Protocol"}}}})
	}
	return append(o, member{"bindings", object{{"ws", append(binding, member{"bindingVersion", "0.1.0"})}}})
}

func operation(action, channel string, messages []string) object {
	list := []object{}
	for _, m := range messages {
		list = append(list, reference("channels/"+channel+"/messages/"+m))
	}
	return object{{"action", action}, {"channel", reference("channels/" + channel)}, {"messages", list}}
}

// eventMessage is an event frame. A row that leaves comes without data.
func eventMessage(c *Channel, r *Resource, e *Event) object {
	name := eventID(c, r, e)
	properties := object{
		{"type", object{{"const", e.Name}}},
		{"id", text},
		{"channel", object{{"const", c.Name}}},
		{"resource", object{{"const", r.Name}}},
		{"resource_id", r.Key.jsonSchema()},
		{"op", object{{"type", "string"}, {"enum", []string{"insert", "update", "delete", "enter", "leave"}}}},
		{"at", object{{"type", "string"}, {"format", "date-time"}}},
		{"txid", text},
		{"data", reference("components/schemas/" + name)},
		{"old", e.Data.partial()},
	}
	if e.Message != Never {
		properties = append(properties, member{"message", text})
	}
	if e.Link != Never {
		properties = append(properties, member{"link", text})
	}
	leave := object{{"properties", object{{"op", object{{"const", "leave"}}}}}}
	return object{
		{"name", e.Name},
		{"summary", e.says()},
		{"payload", object{
			{"type", "object"},
			{"properties", append(properties, member{"cursor", cursor})},
			{"required", []string{"type", "id", "channel", "resource", "resource_id", "op", "at", "txid"}},
			{"additionalProperties", false},
			{"if", leave},
			{"then", object{{"properties", object{{"data", false}, {"old", false}, {"message", false}, {"link", false}}}}},
			{"else", object{{"required", []string{"data"}}}},
		}},
	}
}

func (r *Resource) eventIDs(c *Channel) []string {
	ids := make([]string, len(r.Events))
	for i := range r.Events {
		ids[i] = eventID(c, r, &r.Events[i])
	}
	return ids
}

func eventID(c *Channel, r *Resource, e *Event) string { return componentID(c.Name, r.Name, e.Name) }

// componentID is a name that can stand in a reference. Names of the configuration have letters, digits, - and _, and a
// resource's a ~ as well, which AsyncAPI's have not.
func componentID(names ...string) string {
	return strings.ReplaceAll(strings.Join(names, "."), "~", "..")
}
