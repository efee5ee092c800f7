package session

// Close codes of the wire contract, beside those of RFC 6455 section 7.4.1. 4000 to 4499: reconnect, with backoff;
// 4500 to 4999: do not, until something changes.
const (
	closeNormal      = 1000
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeAbnormal    = 1006
	closeInvalidText = 1007
	closeTryLater    = 1013 // registered: the database can't be asked who the client is

	closeDraining         = 4000
	closeSlowConsumer     = 4001
	closeHeartbeatTimeout = 4002
	closeGrantsChanged    = 4003
	closeAuthExpired      = 4004
	closeResync           = 4005
	closeAuthTimeout      = 4500
	closeAuthFailed       = 4501
	closeOrigin           = 4503
	closeConnectionLimit  = 4504
	closeFlood            = 4505
)

// Codes of error frames.
const (
	errBadFrame       = "bad_frame"
	errUnknownType    = "unknown_type"
	errUnknownChannel = "unknown_channel"
	errUnknownColumn  = "unknown_column"
	errForbidden      = "forbidden"
	errTooMany        = "too_many_subscriptions"
	errRateLimited    = "rate_limited"
	errTooLarge       = "too_large"
	errInternal       = "internal"
)
