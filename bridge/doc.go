// Package bridge carries committed row changes to the browsers that may see them. START HERE.
//
//	watched tables ──trigger──► rowfeed.change_N (the outbox) ──pg_notify, a bell only──┐
//	                                   │                                                ▼
//	                                   └───────────► source: sweep ──► rule ──► router ──► session ──► browser
//	                                                 what is new     event    topic ×     bounded queue,
//	                                                 since the last  + who    audience    shared frames
//	                                                 snapshot        may see
//
// Data flows one way, and a room imports only what stands to its left, or the vocabulary in change. audience stands
// beside the line: it turns a token into the grants that the router compares with an event's audience.
//
// Beside the channels of the configuration there is one of the bridge's own, .control (control.go): changes of the tables
// behind the grants, and requests of the operator.
//
// Invariants:
//
//   - Every channel has a feed of its own (two connections: LISTEN and sweep) and one goroutine that goes the whole way
//     from the outbox row to the sessions' queues. It never waits for a session.
//   - An event is encoded once for all who receive the same variant of it.
//   - Nobody is sent what their grants and the rule's audience do not have in common.
//   - What can't be told truthfully is told as resync, never left out in silence.
//
// What happens when:
//
//	database gone at start     a one-line error, exit code 1
//	database gone later        readyz is false; feeds reconnect and go on where they were; sessions stay
//	network silent             readyz is false within 10 s; connections end by TCP's user timeout or keepalive; as above
//	listener hears nothing     a canary is lost: readyz is false and says why, the listener is restarted until one comes
//	changes come very fast     one node leads: commits don't notify, it sweeps all the time (source/doorbell.go)
//	standby promoted           found among the hosts of database.url; other_epoch: subscribers are told to fetch afresh
//	a rule fails on a row      counted, logged without row data, resync to those it concerns; other rules go on
//	a slow reader              its queue is bounded: 4001, the others feel nothing
//	grants change              sessions concerned are held, looked up anew, and go on by the new grants (renewal.go)
//	SIGTERM                    readyz is false, sessions get 4000 over server.drain, then the process ends
//	a client comes back        its cursor names a tick: what that does not see is replayed, then it is live
//	bridge killed              likewise, to any node; triggers go on writing the outbox, for four of its slots at least
//	no bridge for longer       captures stop by themselves; when one is back they go on, and all are told to fetch afresh
package bridge
