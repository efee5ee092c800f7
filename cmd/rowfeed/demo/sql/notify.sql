-- What the ERP tells a requester of a decision. $1 user, $2 kind, $3 message, $4 link.
insert into notifications_notification (user_id, kind, message, link, created_at) values ($1, $2, $3, $4, now());
