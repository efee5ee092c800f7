-- Whether captures go on, and all is told of it where they had stopped; it is a step towards that.
select k.remaining > 0 and k.stopped_at is null from {schema}.keep_open() k
