-- Notifies, unless the queue is over half full; no row then. Parameters: channel; payload.
select pg_notify($1, $2) where pg_notification_queue_usage() <= 0.5
