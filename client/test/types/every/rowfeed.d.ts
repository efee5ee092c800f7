// Written by rowfeed types: run it again when the configuration or a table has changed.

declare module 'rowfeed' {
  /** Makes this installation's channels, resources and events the client's own. */
  interface Register {
    schema: Schema
  }
}

/** What this installation sends, by channel and resource. */
export type Schema = {
  'odd-names': {
    '7.odd~names': {
      key: number
      events: {
        /** Rows of public.odd " names*\/. */
        'odd-one': {
          class: number
          'user-name': string | null
          'it\'s \\ odd': number | null
          '*/': string | null
          __proto__: string | null
        }
      }
    }
  }
  values: {
    every: {
      key: number | string
      events: {
        /** Rows of public.every. */
        plain: {
          id: number
          c00: number | null
          c01: number | null
          c02: number | null
          /** oid */
          c03: number | null
          /** numeric */
          c04: number | null
          /** numeric(14,2) */
          c05: number | null
          /** real */
          c06: Float | null
          /** double precision */
          c07: Float | null
          c08: boolean | null
          c09: string | null
          c10: string | null
          c11: string | null
          /** "char" */
          c12: string | null
          /** name */
          c13: string | null
          c14: string | null
          /** citext */
          c15: string | null
          /** mood */
          c16: 'so so' | 'it\'s "fine" \\o/' | null
          /** nothing */
          c17: string | null
          /** inet */
          c18: string | null
          /** macaddr */
          c19: string | null
          /** pg_lsn */
          c20: string | null
          /** xid8 */
          c21: string | null
          c22: Json
          c23: Json
          /** bytea */
          c24: string | null
          /** timestamp with time zone */
          c25: string | null
          /** timestamp without time zone */
          c26: string | null
          /** date */
          c27: string | null
          /** time without time zone */
          c28: string | null
          /** time with time zone */
          c29: string | null
          /** interval */
          c30: string | null
          /** money */
          c31: string | null
          /** point */
          c32: string | null
          /** daterange */
          c33: string | null
          /** int4multirange */
          c34: string | null
          /** floats */
          c35: string | null
          /** xml */
          c36: string | null
          /** bit varying(8) */
          c37: string | null
          /** tsvector */
          c38: string | null
          /** regclass */
          c39: string | null
          /** hstore */
          c40: Json
          /** pair */
          c41: {
            x: Float | null
            at: string | null
            moods: ('so so' | 'it\'s "fine" \\o/' | null)[] | null
          } | null
          /** integer[] */
          c42: (number | null)[] | null
          /** integer[] */
          c43: (number | null)[][] | null
          /** text[] */
          c44: (string | null)[] | null
          /** boolean[] */
          c45: (boolean | null)[] | null
          /** numeric[] */
          c46: (number | null)[] | null
          /** oid[] */
          c47: (string | null)[] | null
          /** double precision[] */
          c48: (Float | null)[] | null
          /** jsonb[] */
          c49: Json[] | null
          /** timestamp with time zone[] */
          c50: (string | null)[] | null
          /** mood[] */
          c51: ('so so' | 'it\'s "fine" \\o/' | null)[] | null
          /** feeling[] */
          c52: ('so so' | 'it\'s "fine" \\o/' | null)[] | null
          /** pair[] */
          c53: ({
            x: Float | null
            at: string | null
            moods: ('so so' | 'it\'s "fine" \\o/' | null)[] | null
          } | null)[] | null
          /** int2vector */
          c54: (number | null)[] | null
          /** oidvector */
          c55: (string | null)[] | null
          /** positive */
          c56: number | null
          /** feeling */
          c57: 'so so' | 'it\'s "fine" \\o/' | null
          /** mail */
          c58: string
          /** post */
          c59: string
          /** tags */
          c60: (string | null)[] | null
          /** pairs */
          c61: {
            x: Float | null
            at: string | null
            moods: ('so so' | 'it\'s "fine" \\o/' | null)[] | null
          } | null
        }
        /** Rows of public.every. */
        quoted: {
          id: string
          c00: string | null
          c01: string | null
          c02: string | null
          /** oid */
          c03: string | null
          /** numeric */
          c04: string | null
          /** numeric(14,2) */
          c05: string | null
          /** real */
          c06: string | null
          /** double precision */
          c07: string | null
          c08: 'true' | 'false' | null
          c09: string | null
          c10: string | null
          c11: string | null
          /** "char" */
          c12: string | null
          /** name */
          c13: string | null
          c14: string | null
          /** citext */
          c15: string | null
          /** mood */
          c16: 'so so' | 'it\'s "fine" \\o/' | null
          /** nothing */
          c17: string | null
          /** inet */
          c18: string | null
          /** macaddr */
          c19: string | null
          /** pg_lsn */
          c20: string | null
          /** xid8 */
          c21: string | null
          c22: string | null
          c23: string | null
          /** bytea */
          c24: string | null
          /** timestamp with time zone */
          c25: string | null
          /** timestamp without time zone */
          c26: string | null
          /** date */
          c27: string | null
          /** time without time zone */
          c28: string | null
          /** time with time zone */
          c29: string | null
          /** interval */
          c30: string | null
          /** money */
          c31: string | null
          /** point */
          c32: string | null
          /** daterange */
          c33: string | null
          /** int4multirange */
          c34: string | null
          /** floats */
          c35: string | null
          /** xml */
          c36: string | null
          /** bit varying(8) */
          c37: string | null
          /** tsvector */
          c38: string | null
          /** regclass */
          c39: string | null
          /** hstore */
          c40: string | null
          /** pair */
          c41: string | null
          /** integer[] */
          c42: string | null
          /** integer[] */
          c43: string | null
          /** text[] */
          c44: string | null
          /** boolean[] */
          c45: string | null
          /** numeric[] */
          c46: string | null
          /** oid[] */
          c47: string | null
          /** double precision[] */
          c48: string | null
          /** jsonb[] */
          c49: string | null
          /** timestamp with time zone[] */
          c50: string | null
          /** mood[] */
          c51: string | null
          /** feeling[] */
          c52: string | null
          /** pair[] */
          c53: string | null
          /** int2vector */
          c54: string | null
          /** oidvector */
          c55: string | null
          /** positive */
          c56: string | null
          /** feeling */
          c57: 'so so' | 'it\'s "fine" \\o/' | null
          /** mail */
          c58: string
          /** post */
          c59: string
          /** tags */
          c60: string | null
          /** pairs */
          c61: string | null
        }
      }
    }
    strict: {
      key: [string, string, string]
      events: {
        /** Rows of public.strict; with `message` and `link`. */
        strict: {
          /** column no */
          document: string
          /** column mood, mood */
          again: 'so so' | 'it\'s "fine" \\o/'
          /** column mood, mood */
          feels: 'so so' | 'it\'s "fine" \\o/'
          /** double precision */
          ratio: Float
          /** boolean[] */
          flags: (boolean | null)[]
          note: string | null
        }
      }
    }
  }
}

/** A floating-point number; what JSON has no number for comes as a string. */
export type Float = number | 'NaN' | 'Infinity' | '-Infinity'

/** A document as it was written. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json }
