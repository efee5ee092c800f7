-- What the outbox rows of each version of a table's capture hold.
select id, relation, columns, kinds, types, key from {schema}.capture
