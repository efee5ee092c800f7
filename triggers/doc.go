// Package triggers writes rowfeed's part into the customer's database, and takes it out again.
//
// What is written:
//
//   - a role "<schema>_owner" that can't log in and owns what follows, nothing else;
//   - the schema (rowfeed unless configured otherwise): the tables installation, channel, capture and the outbox
//     change_0, change_1, change_2 (a ring: the oldest is truncated), a view change over them for people, the functions
//     epoch, writable, proven, rings, open_until, slot_end, keep_open, tick and rotate, a sequence open_until, and one
//     function capture_… for each watched table;
//   - on each watched table two triggers, 00_<schema> (after insert, update, delete, for each row) and
//     00_<schema>_truncate, ENABLE ALWAYS. Partitions get the clone that PostgreSQL makes, and a truncate trigger of
//     their own; children by inheritance get both.
//
// Nothing else of the customer's is touched: no column, no default, no right on their tables.
//
// Tables that grants are made of are watched for the channel .control, which is always there: any change of a row counts,
// compared by its bytes (*<>), and no more than the user's column is stored.
//
// How to undo it: `rowfeed migrate down`, which leaves the schema as it was, to the byte of pg_dump --schema-only. A role
// that up has made has a comment that says so; one of such a name that was there before is used, and stays.
//
// Plan says it step by step, Up does the steps, Scripts writes them as migration files with what takes each back. A step
// is a transaction that locks one table of the ERP, or one with its partitions, and does so first of all with the
// strongest lock that it needs: a lock that grows, or a second table, could be part of a deadlock with the ERP.
//
// In an emergency `alter table … disable trigger "00_rowfeed"` silences one table at once.
//
// The capture function must never make a write of the ERP fail or wait. So it reads the configured columns by name, in
// a block of its own that writes nothing and whose errors make the change a resync ('r'); it calls no sequence (it may
// read one); it uses
// static SQL only; every name in it, operators and types included, is qualified, so that the session's search_path does
// not matter. That it can write to the outbox is asked of the function writable, whose answer plans hold until a table
// of the outbox is altered, and of proven where a transaction keeps its snapshot: what was done to those by hand is not
// the ERP's error. Likewise until when it may, which a bridge extends (open_until, keep_open): nobody else empties the
// outbox. Most updates and inserts go a short way, for which both are one answer, slot_end; whatever that is not sure of, an
// error included, goes the long way. SET clauses, which cost each row some 15 % of a trivial update, are there only where the
// text of a captured type depends on the setting.
package triggers
