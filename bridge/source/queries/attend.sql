-- What the leader's session rests on, and whether it is a session: behind a pooler the number that the client was given is
-- not that of the backend, and nothing is set: it would be the next client's. The server ends a session that says nothing,
-- and its locks with it, whatever the network does.
-- Parameters: the client's number of the backend; application_name; seconds of silence; milliseconds of a try.
select ours, case when ours then array[
         set_config('application_name', $2, false),
         set_config('idle_session_timeout', $3 || 's', false),
         set_config('lock_timeout', $4 || 'ms', false),
         set_config('synchronous_commit', 'off', false),
         set_config('tcp_keepalives_idle', $3, false),
         set_config('tcp_keepalives_interval', '1', false),
         set_config('tcp_keepalives_count', $3, false)] end
from (select pg_backend_pid() = $1::int4 and pg_is_in_recovery() = false) s (ours)
