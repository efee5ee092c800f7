-- Publications that take in what up makes.
select p.pubname::text from pg_catalog.pg_publication p where p.puballtables order by 1
