-- Emergency changes: who looked back at one, what was found, and when it ended. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

ALTER TABLE emergency_change
    ADD COLUMN reviewed_by  text,
    ADD COLUMN ended_at     timestamptz,                -- when its 72 hours were settled
    ADD COLUMN outcome      text CHECK (outcome IN ('approved', 'rolled_back'));
CREATE INDEX emergency_change_release ON emergency_change (release, opened_at);
CREATE INDEX emergency_change_workflow ON emergency_change (workflow, opened_at);
