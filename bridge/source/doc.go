// Package source reads the feed of one channel out of the outbox: what is new, once, in order.
//
// The sweep is the truth. A sweep is one statement, with one snapshot: it reads the rows that are visible in that
// snapshot and were not in the previous sweep's. What is new can only come from transactions that were in progress
// then (xip), or began since (xid >= xmax), so late commits, ids out of order and long transactions need no care of
// their own. A notification says when to sweep, never what there is: the doorbell. The heartbeat sweeps once a second
// in any case, and counts what it finds without having been woken.
//
// After a lost connection a feed goes on from the snapshot of the last tick that it swept, not from its own last one:
// a crash of the server gives the ids of unflushed transactions out again, and a tick is known to be flushed. What it
// has delivered since that tick is remembered and not delivered again.
//
// What a feed has handed on it keeps for a while (History), and each tick that it has swept is a place there from which a
// subscriber can go on: the cursor. What is older is in the outbox (Outbox), to be read from tick to tick.
//
// What happens when:
//
//	connection lost            reconnect with jitter, 100 ms to 5 s; go on from the last tick; nothing lost, nothing twice
//	notification lost          found by the next heartbeat, counted as missed
//	listener hears nothing     a canary does not come back: not ready, and the listener is restarted until one does
//	commits don't notify       while a node leads, or is kept from it: doorbell.go
//	forged notifications       coalesced; a flood that finds nothing is slowed to a sweep each 10 ms
//	unflushed commits undone   what was handed on of them is not found again: other_epoch
//	another server or database other_epoch: subscribers are told to fetch afresh
//	the server put back        the last tick is not there: likewise
//	removed and installed      found by the next sweep, before it reads a row: likewise
//	outbox rotated past us     cursor_expired: likewise, also when a transaction older than the retention commits just then
//	a sweep fails half-way     read again from the last tick; what was handed on is remembered
//	a decoder can't be read    likewise; one that is gone for good is drift, and the feed goes on
package source
