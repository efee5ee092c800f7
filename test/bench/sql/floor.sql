-- The plain trigger that everybody writes first.
create function floor() returns trigger language plpgsql as $$
begin
    perform pg_notify('floor', row_to_json(new)::text);
    return null;
end $$;
create trigger floor after insert or update on inventory_stocklevel for each row execute function floor();
