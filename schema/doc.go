// Package schema says what a frontend is sent: which events of which resources in which channels, and of each field of
// their data what values it can have. It knows it from the configuration and from the database's own column types, and
// writes it as TypeScript (for the client package) and as an AsyncAPI document (for everybody else).
//
// What a value looks like on the wire is decided in three places, which Read follows: the capture (package triggers: the
// kind of a column), the frame (bridge/rule: numbers, strings and what JSON has no number for) and, for what a capture
// writes with to_json, PostgreSQL itself. The test sends a value of every type through a bridge and compares.
//
// A numeric that is NaN or infinite is a string on the wire. Types leave it out: money has no such values, and
// everything that is counted would have to be asked for them first. Of a float they say it.
package schema
