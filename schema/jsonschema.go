package schema

import "go.yaml.in/yaml/v3"

// object is a mapping of YAML that keeps its order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalYAML implements yaml.Marshaler.
func (o object) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range o {
		var name, value yaml.Node
		name.SetString(m.name)
		if err := value.Encode(m.value); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, &name, &value)
	}
	return node, nil
}

// reference is a $ref.
func reference(path string) object { return object{{"$ref", "#/" + path}} }

// jsonSchema is the type as JSON Schema, draft 7, which AsyncAPI takes.
func (t Type) jsonSchema() object {
	s := t.bareSchema()
	if !t.Null || t.Kind == JSON {
		return s
	}
	if len(s) == 1 && s[0].name == "type" {
		return object{{"type", []any{s[0].value, "null"}}}
	}
	return object{{"anyOf", []any{s, object{{"type", "null"}}}}}
}

func (t Type) bareSchema() object {
	switch t.Kind {
	case Integer:
		return object{{"type", "integer"}}
	case Number:
		return object{{"type", "number"}}
	case Bool:
		return object{{"type", "boolean"}}
	case Float:
		return object{{"anyOf", []any{object{{"type", "number"}},
			object{{"type", "string"}, {"enum", []string{"NaN", "Infinity", "-Infinity"}}}}}}
	case JSON:
		return object{}
	case Enum:
		return object{{"type", "string"}, {"enum", t.Values}}
	case Array:
		return object{{"type", "array"}, {"items", t.Items[0].jsonSchema()}}
	case Tuple:
		return object{{"type", "array"}, {"items", schemas(t.Items)}, {"minItems", len(t.Items)}, {"maxItems", len(t.Items)}}
	case Union:
		return object{{"anyOf", schemas(t.Items)}}
	case Object:
		return t.objectSchema(true)
	}
	return object{{"type", "string"}}
}

// objectSchema is the schema of an object that has all fields, or any of them.
func (t Type) objectSchema(all bool) object {
	properties, required := object{}, []string{}
	for _, f := range t.Fields {
		s := f.Type.jsonSchema()
		if f.Note != "" {
			s = append(object{{"description", f.Note}}, s...)
		}
		properties = append(properties, member{f.Name, s})
		required = append(required, f.Name)
	}
	s := object{{"type", "object"}, {"properties", properties}}
	if all && len(required) > 0 {
		s = append(s, member{"required", required})
	}
	return append(s, member{"additionalProperties", false})
}

// partial is the type of `old`: any of the fields.
func (t Type) partial() object {
	if t.Kind != Union {
		return t.objectSchema(false)
	}
	var list []object
	for _, item := range t.Items {
		list = append(list, item.objectSchema(false))
	}
	return object{{"anyOf", list}}
}

func schemas(types []Type) []object {
	list := make([]object, len(types))
	for i, t := range types {
		list[i] = t.jsonSchema()
	}
	return list
}
