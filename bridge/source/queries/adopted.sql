-- Whether the outbox is known to be of the history that the server is of now.
select coalesce(i.epoch = {schema}.epoch(), false) from {schema}.installation i
