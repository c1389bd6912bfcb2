-- What a run under a cost cap has paid, with what is reserved for calls in flight; in 1e-9 of the currency. A call whose
-- worker died is never settled: what was reserved for it stays counted.
ALTER TABLE evaluation_run
    ADD COLUMN spent_nano bigint NOT NULL DEFAULT 0 CHECK (spent_nano >= 0);
