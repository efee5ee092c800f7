-- Whether captures may ring at all: not where a transaction may be prepared, since one that has notified can't be.
--
-- It says that it is immutable, so that a plan holds its answer: what it reads changes only when the server starts anew.
begin
  return current_setting('max_prepared_transactions') = '0';
end
