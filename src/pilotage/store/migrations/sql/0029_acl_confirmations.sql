-- How often a refresh confirmed ACLs of the corpus: a process that counted fewer reads anew how long they stand.
ALTER TABLE corpus
    ADD COLUMN confirmations bigint NOT NULL DEFAULT 0;
