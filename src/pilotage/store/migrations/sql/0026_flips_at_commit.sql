-- A row is read by nobody else before its transaction ends, which may be long after the write: it is dated at the commit,
-- whoever wrote it.
CREATE FUNCTION date_flip() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE public.routing SET written_at = clock_timestamp() WHERE space = NEW.space AND workflow = NEW.workflow;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER routing_flipped AFTER UPDATE ON routing DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.generation IS DISTINCT FROM NEW.generation)
    EXECUTE FUNCTION date_flip();
