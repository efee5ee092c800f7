-- Whether captures may ring at all: not where a transaction may be prepared, since one that has notified can't be; nor where
-- somebody has taken from PUBLIC the right to do so.
--
-- It says that it is immutable, so that a plan holds its answer: what it reads changes only when the server starts anew, or
-- by that deed, which sessions of before do not hear of: a plan names no dependency on a function of the server's own.
begin
  return current_setting('max_prepared_transactions') = '0'
     and has_function_privilege('pg_notify(text, text)', 'execute')
     and has_function_privilege('pg_notification_queue_usage()', 'execute');
end
