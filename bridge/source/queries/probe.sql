-- Whether a capture would ring just now: it needs the door's lock, shared, and a queue that is not over half full.
-- Parameters: the door's key.
select pg_try_advisory_xact_lock_shared($1::int8), pg_notification_queue_usage()
