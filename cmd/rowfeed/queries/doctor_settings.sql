-- Limits in milliseconds that end serve's statements and transactions; null where this version has none.
select s.name, s.setting::int8
from pg_settings s
where s.name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
order by s.name
