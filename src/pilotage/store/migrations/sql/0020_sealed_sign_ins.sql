-- What a sign-in under way leads to, and the form it keeps, are readable to the browser that began it and to nobody else.

DELETE FROM console_login;                                               -- they last ten minutes; people sign in again
ALTER TABLE console_login DROP COLUMN leads_to;
ALTER TABLE console_login DROP COLUMN kept_path;
ALTER TABLE console_login DROP COLUMN kept;
ALTER TABLE console_login ADD COLUMN sealed bytea NOT NULL;              -- AES-256-GCM under a key of the browser's secret
ALTER TABLE console_login ADD COLUMN holder text;                        -- HMAC of who keeps a form; NULL: none is kept
CREATE INDEX console_login_holder ON console_login (holder) WHERE holder IS NOT NULL;
