-- Waits for the door's lock, and no longer than lock_timeout: a statement that waits holds a snapshot. In a block, so that
-- the server's log has no line for each try.
do $$
begin
  perform pg_catalog.pg_advisory_lock({key});
exception when lock_not_available then
  null;
end
$$
