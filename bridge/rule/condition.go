package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// maxCost is what one evaluation of a condition may cost, in CEL's units: some milliseconds. A plain comparison costs
// less than ten; only a macro over a long list comes near it.
const maxCost = 100_000

// condition is a compiled CEL expression over row and old.
type condition struct {
	program cel.Program
	reads   []int // the rule's columns that it reads
}

var errNotBool = errors.New("the condition gives no boolean: compare the value with something")

// environment declares row and old. They are dynamic because either may be null, and because what a column holds is
// known only when the database is; unknown columns are found in the checked expression instead.
func environment() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("row", cel.DynType),
		cel.Variable("old", cel.DynType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
	)
}

// compileCondition compiles a condition over the rule's columns and returns all that is wrong with it.
func compileCondition(env *cel.Env, source string, columns []string) (*condition, []string) {
	checked, issues := env.Compile(source)
	if issues != nil && issues.Err() != nil {
		var wrong []string
		for _, e := range issues.Errors() {
			wrong = append(wrong, fmt.Sprintf("%s (at character %d of line %d)", e.Message, e.Location.Column()+1,
				e.Location.Line()))
		}
		return nil, wrong
	}
	if t := checked.OutputType(); !t.IsExactType(types.BoolType) && !t.IsExactType(types.DynType) {
		return nil, []string{fmt.Sprintf("the condition gives a value of type %s, not true or false", t)}
	}
	c := &condition{}
	unknown, err := c.resolve(checked.NativeRep(), columns)
	if err != nil {
		return nil, []string{err.Error()}
	}
	if len(unknown) > 0 {
		return nil, unknown
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if unbounded(checked.NativeRep()) {
		options = append(options, cel.CostLimit(maxCost))
	}
	if c.program, err = env.Program(checked, options...); err != nil {
		return nil, []string{err.Error()}
	}
	return c, nil
}

// resolve finds the columns that the expression reads. One that uses row or old as a whole, or by a computed name,
// reads all of them.
func (c *condition) resolve(tree *ast.AST, columns []string) (unknown []string, err error) {
	root := ast.NavigateAST(tree)
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.ComprehensionKind)) {
		for _, name := range []string{e.AsComprehension().IterVar(), e.AsComprehension().IterVar2()} {
			if isRow(name) {
				return nil, fmt.Errorf("a macro's variable is named %s, which is the row: name it otherwise", name)
			}
		}
	}
	whole := false
	for _, e := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		if !isRow(e.AsIdent()) {
			continue
		}
		name, use := columnUse(e)
		whole = whole || use == useWhole
		if use != useColumn {
			continue
		}
		i := slices.Index(columns, name)
		if i < 0 {
			unknown = append(unknown, fmt.Sprintf("it reads %s.%s, but %s is not among the rule's columns", e.AsIdent(),
				name, name))
		} else {
			c.reads = append(c.reads, i)
		}
	}
	if whole {
		for i := range columns {
			c.reads = append(c.reads, i)
		}
	}
	slices.Sort(c.reads)
	c.reads = slices.Compact(c.reads)
	slices.Sort(unknown)
	return slices.Compact(unknown), nil
}

func isRow(name string) bool { return name == "row" || name == "old" }

const (
	useNone = iota // compared with null
	useColumn
	useWhole
)

// columnUse tells how an expression uses row or old: row.name and row["name"] read one column.
func columnUse(e ast.NavigableExpr) (name string, use int) {
	parent, ok := e.Parent()
	if !ok {
		return "", useWhole
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName(), useColumn
	case ast.CallKind:
		call := parent.AsCall()
		for _, arg := range call.Args() {
			if arg.Kind() != ast.LiteralKind || len(call.Args()) != 2 {
				continue
			}
			switch literal := arg.AsLiteral().(type) {
			case types.String:
				if call.FunctionName() == operators.Index {
					return string(literal), useColumn
				}
			case types.Null:
				if call.FunctionName() == operators.Equals || call.FunctionName() == operators.NotEquals {
					return "", useNone
				}
			}
		}
	}
	return "", useWhole
}

// unbounded tells that the cost of an evaluation may grow faster than the row's size: that it has a macro over a list,
// or a function beyond comparing and computing. Counting the cost makes an evaluation slower, so others go without.
func unbounded(tree *ast.AST) bool {
	beyond := func(e ast.NavigableExpr) bool {
		switch e.Kind() {
		case ast.ComprehensionKind:
			return true
		case ast.CallKind:
			name := e.AsCall().FunctionName()
			_, operator := operators.FindReverse(name)
			return !operator && name != operators.Index && name != operators.Conditional
		}
		return false
	}
	return len(ast.MatchDescendants(ast.NavigateAST(tree), beyond)) > 0
}

// holds evaluates the condition.
func (c *condition) holds(a *activation) (bool, error) {
	result, _, err := c.program.Eval(a)
	if err != nil {
		return false, withoutData(err)
	}
	b, ok := result.(types.Bool)
	if !ok {
		return false, errNotBool
	}
	return bool(b), nil
}

// withoutData says why an evaluation failed in words that hold none of the row's values, as CEL's own may.
func withoutData(err error) error {
	said := err.Error()
	for _, known := range []struct{ has, say string }{
		{"no such overload", "a value is null, or of a type that the operator does not take: test it with != null, " +
			"or convert it with double()"},
		{"NaN", "NaN can't be ordered"},
		{"infinity", "an infinite time can't be compared"},
		{"out of range", "a number, time or index is out of range"},
		{"overflow", "a number or time overflows"},
		{"cost limit", "the condition takes too long on this row"},
		{"division by zero", "division by zero"},
		{"modulus by zero", "modulus by zero"},
		{"no such key", "a JSON value lacks a key: test it with has()"},
		{"out of bounds", "an index is out of bounds"},
		{"conversion", "a value can't be converted"},
		{"invalid", "a value can't be converted"},
	} {
		if strings.Contains(said, known.has) {
			return errors.New("evaluate condition: " + known.say)
		}
	}
	return errors.New("evaluate condition: it fails on this row")
}
