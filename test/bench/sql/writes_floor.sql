-- The least that keeps what changed: no order, no index, no wake-up, and an error of the ERP's where a row is no jsonb.
create table floor (op text, old jsonb, new jsonb);
create function floor() returns trigger language plpgsql as $$
begin
    insert into floor values (tg_op, to_jsonb(old), to_jsonb(new));
    return null;
end $$;
create trigger floor after insert or update or delete on inventory_stocklevel for each row execute function floor();
