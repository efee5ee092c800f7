-- A user's newest notifications. $1 user.
select id, message, created_at as at, read_at
from notifications_notification
where user_id = $1
order by created_at desc, id desc
limit 40;
