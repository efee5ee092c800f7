package schema

import (
	"cmp"
	"reflect"
	"slices"
)

// Schema is what an installation sends, in a stable order.
type Schema struct{ Channels []Channel }

// Channel is a channel of the configuration.
type Channel struct {
	Name      string
	Resources []Resource
}

// Resource is what the rules of a channel make known under one name.
type Resource struct {
	Name   string
	Key    Type
	Events []Event
}

// Event is what comes of the rules of one resource that have the same event.
type Event struct {
	Name          string
	Tables        []string // schema.table
	Operations    []string // insert, update, delete; as far as a rule has them
	Data          Type     // an Object, or a Union of them
	Message, Link Presence
}

// Presence says whether the events of a name have a field.
type Presence uint8

// Presences. Sometimes: some of the rules have a template for it, others none.
const (
	Never Presence = iota
	Sometimes
	Always
)

// Kind is the form of a JSON value.
type Kind uint8

// Kinds. A Float is a number, or the name of what JSON has no number for.
const (
	String Kind = iota
	Integer
	Number
	Float
	Bool
	JSON
	Enum
	Array
	Tuple
	Object
	Union
)

// Type is what a JSON value can be.
type Type struct {
	Kind   Kind
	Null   bool     // it can be null as well
	Values []string // of an Enum
	Items  []Type   // of an Array its item's, of a Tuple each, of a Union the alternatives
	Fields []Field  // of an Object: it has them all, and no others
}

// Field is a field of an Object.
type Field struct {
	Name string
	Type Type
	Note string // what the type does not tell: the column and its SQL type; may be empty
}

// unionOf is the type of what is one of the types; nothing is in it twice.
func unionOf(types ...Type) Type {
	var distinct []Type
	for _, t := range types {
		if !slices.ContainsFunc(distinct, func(d Type) bool { return reflect.DeepEqual(d, t) }) {
			distinct = append(distinct, t)
		}
	}
	if len(distinct) == 1 {
		return distinct[0]
	}
	return Type{Kind: Union, Items: distinct}
}

// insert returns the place of a name in a sorted list, added where it is not there yet.
func insert[T any](list *[]T, name string, nameOf func(*T) *string) *T {
	i, found := slices.BinarySearchFunc(*list, name, func(item T, name string) int {
		return cmp.Compare(*nameOf(&item), name)
	})
	if !found {
		var fresh T
		*nameOf(&fresh) = name
		*list = slices.Insert(*list, i, fresh)
	}
	return &(*list)[i]
}
