package triggers

import (
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"nalar.internal/rowfeed/bridge/change"
)

// column is a column of a watched table, its domain resolved to the base type.
type column struct {
	name      string
	generated string // v: virtual
	format    string // the type as format_type prints it
	domain    bool
	oid       uint32 // base type
	typtype   string // b, c, e, p, r, m
	category  string
	typname   string
	element   uint32 // of an array: the item's type; of a range: the bound's
	elemtype  string // typtype of an array's items
	bounded   bool   // has a length, as varchar(20)
}

// firstNormalOID is that of the first type that is not PostgreSQL's own: access/transam.h.
const firstNormalOID = 16384

const (
	oidInt2Vector  = 22
	oidOIDVector   = 30
	oidMoney       = 790
	oidMultirange  = "m"
	oidXID8        = 5069
	oidPGLSN       = 3220
	oidNumMulti    = 4532
	oidInt4Multi   = 4451
	oidInt8Multi   = 4536
	categoryString = "S"
)

// kind says how the column's values are written.
func (c *column) kind() change.Kind {
	switch c.oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return change.Integer
	case pgtype.NumericOID:
		return change.Numeric
	case pgtype.Float4OID, pgtype.Float8OID:
		return change.Float
	case pgtype.BoolOID:
		return change.Bool
	case pgtype.JSONOID, pgtype.JSONBOID:
		return change.JSON
	case pgtype.TimestamptzOID:
		return change.Timestamptz
	case pgtype.ByteaOID:
		return change.Bytes
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.QCharOID, pgtype.NameOID, pgtype.UUIDOID,
		pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID, oidPGLSN, oidXID8:
		return change.Text
	}
	if c.typtype == "e" || c.category == categoryString { // enum, citext
		return change.Text
	}
	return change.JSON
}

// text is the expression that gives a value's text as change.Kind has it.
func (c *column) text(x string) string {
	if c.domain && c.oid < firstNormalOID {
		x = "(" + x + "::pg_catalog." + ident(c.typname) + ")"
	}
	switch c.kind() {
	case change.Float:
		return "pg_catalog.encode(pg_catalog.float8send(" + x + "::pg_catalog.float8), 'hex')"
	case change.Bytes:
		return "pg_catalog.encode(" + x + ", 'hex')"
	case change.Timestamptz:
		return "pg_catalog.to_json(pg_catalog.timezone('0 seconds'::pg_catalog.\"interval\", " + x + "))::pg_catalog.text"
	case change.JSON:
		if c.oid != pgtype.JSONOID && c.oid != pgtype.JSONBOID {
			return "pg_catalog.to_json(" + x + ")::pg_catalog.text"
		}
	case change.Text:
		if c.oid == pgtype.InetOID { // its cast to text adds a /32 that its output has not
			return "pg_catalog.textin(pg_catalog.inet_out(" + x + "))"
		}
	}
	return x + "::pg_catalog.text"
}

// guard is the condition that the column still has its type; empty where any type's text would do. Comparing with a null
// array of exactly that type is checked when the expression is parsed, and planned away to true: it costs a row nothing,
// where a pg_typeof for each column would be set up anew in each transaction.
// A type that is not PostgreSQL's own can't be named: the owner role may have no right on its schema.
func (c *column) guard(x string) string {
	switch {
	case c.domain && c.kind() != change.Text && c.kind() != change.JSON:
		return "pg_catalog.pg_typeof(" + x + ")::pg_catalog.oid operator(pg_catalog.>=) 16384::pg_catalog.oid"
	case c.domain:
		return ""
	case c.typtype == "e":
		return "pg_catalog.enum_eq(" + x + ", null) is null"
	case c.oid >= firstNormalOID:
		return ""
	}
	array := "pg_catalog." + ident(c.typname)
	if c.category != "A" || c.oid == oidInt2Vector || c.oid == oidOIDVector { // of the category, but no arrays
		array += "[]"
	}
	return "(array[" + x + "] operator(pg_catalog.=) null::" + array + ") is null"
}

// unbounded tells whether a value can be so large that the outbox row passes the server's limit.
func (c *column) unbounded() bool {
	switch c.kind() {
	case change.Integer, change.Numeric, change.Float, change.Bool, change.Timestamptz:
		return false
	case change.Text:
		fixed := []uint32{pgtype.UUIDOID, pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID,
			pgtype.QCharOID, pgtype.NameOID, oidPGLSN, oidXID8}
		return !c.bounded && c.typtype != "e" && !slices.Contains(fixed, c.oid)
	}
	return !slices.Contains([]uint32{pgtype.DateOID, pgtype.TimestampOID, pgtype.TimeOID, pgtype.TimetzOID,
		pgtype.IntervalOID, oidMoney}, c.oid)
}

// The settings that the text of a type may depend on.
var (
	timeZone      = setting{"TimeZone", "'UTC'", "UTC"}
	dateStyle     = setting{"DateStyle", "'ISO, YMD'", "ISO, YMD"}
	intervalStyle = setting{"IntervalStyle", "'iso_8601'", "iso_8601"}
	byteaOutput   = setting{"bytea_output", "'hex'", "hex"}
	floatDigits   = setting{"extra_float_digits", "1", "1"}
	searchPath    = setting{"search_path", "pg_catalog, pg_temp", "pg_catalog, pg_temp"}
	quoteAll      = setting{"quote_all_identifiers", "off", "off"}
	allSettings   = []setting{searchPath, timeZone, dateStyle, intervalStyle, byteaOutput, floatDigits, quoteAll}
)

// settingsOf returns the SET clauses that the columns need. Each clause is set and reset for each row, so a table of
// plain types gets none.
func settingsOf(columns []*column, monetary string) []setting {
	var out []setting
	for _, c := range columns {
		for _, s := range c.settings(monetary) {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// settings returns what the text of the column depends on. to_json writes dates and times the same way always; what
// it writes through a type's own output function is another matter.
func (c *column) settings(monetary string) []setting {
	if c.kind() != change.JSON || c.oid == pgtype.JSONOID || c.oid == pgtype.JSONBOID {
		return nil
	}
	if c.category == "A" {
		if c.elemtype == "e" {
			return nil
		}
		return dependsOn(c.element, monetary)
	}
	if c.typtype == "r" || c.typtype == oidMultirange {
		switch c.element {
		case pgtype.Int4OID, pgtype.Int8OID, pgtype.NumericOID:
			return nil
		}
		if slices.Contains([]uint32{oidNumMulti, oidInt4Multi, oidInt8Multi}, c.oid) {
			return nil
		}
		return allSettings
	}
	return dependsOn(c.oid, monetary)
}

// dependsOn returns what to_json of a type depends on; what is not known here depends on everything.
func dependsOn(oid uint32, monetary string) []setting {
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.NumericOID, pgtype.BoolOID,
		pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.QCharOID, pgtype.NameOID, pgtype.UUIDOID,
		pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID, pgtype.JSONOID, pgtype.JSONBOID,
		pgtype.DateOID, pgtype.TimestampOID, pgtype.TimeOID, pgtype.TimetzOID, pgtype.BitOID, pgtype.VarbitOID,
		pgtype.XMLOID, oidPGLSN, oidXID8:
		return nil
	case pgtype.TimestamptzOID:
		return []setting{timeZone}
	case pgtype.IntervalOID:
		return []setting{intervalStyle}
	case pgtype.ByteaOID:
		return []setting{byteaOutput}
	case pgtype.Float4OID, pgtype.Float8OID, pgtype.PointOID, pgtype.LsegOID, pgtype.PathOID, pgtype.BoxOID,
		pgtype.PolygonOID, pgtype.LineOID, pgtype.CircleOID:
		return []setting{floatDigits}
	case oidMoney: // the number of its decimals is the locale's: what the session that installs has
		return []setting{{"lc_monetary", literal(monetary), monetary}}
	}
	return allSettings
}
