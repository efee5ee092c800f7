// Package oracle says what each session is to be delivered, straight from PROTOCOL and section 4 of DESIGN: by loops over
// everybody and every row, sharing nothing with the rooms that do it in the bridge. It imports the standard library only.
// Its tests generate rules, rows, users, subscriptions and histories, and hold the bridge to it: in one process from rule
// to router (TestDelivery), and through PostgreSQL and sockets (TestDeliveryOverSockets).
//
// A failure prints the seed, and the shortest history that still fails:
//
//	go test ./test/oracle -run TestDelivery$ -seed 4711 -cases 100
package oracle
