-- Entries are numbered in the order they came: an id orders milliseconds, and what one transaction writes shares one.
DROP INDEX ledger_unnumbered;
CREATE INDEX ledger_unnumbered ON ledger_entry (inserted_at, id) WHERE seq IS NULL;
