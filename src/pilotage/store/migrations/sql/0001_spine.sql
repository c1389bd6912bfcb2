-- The spine: corpora, releases, serving, ledger, runs. PostgreSQL >= 15, no extension.
-- Expand, migrate, contract: this file never changes once released.

-- corpora ----------------------------------------------------------------------------------------------------------
CREATE TABLE corpus (
    name            text PRIMARY KEY,
    generation      bigint NOT NULL DEFAULT 0,          -- +1 on every ACL, tombstone or version change; NOTIFY carries it
    next_rev        bigint NOT NULL DEFAULT 0,          -- dense unsigned 32-bit revision numbers, never reused
    next_version    integer NOT NULL DEFAULT 1
);

CREATE TABLE document (
    corpus          text NOT NULL REFERENCES corpus (name),
    id              text NOT NULL,
    title           text NOT NULL DEFAULT '',
    uri             text,
    acl             text[] NOT NULL DEFAULT '{}',       -- user: group: service: names; empty = nobody
    acl_source      text NOT NULL DEFAULT '',
    classification  text NOT NULL,
    region          text NOT NULL,
    acl_confirmed_at timestamptz NOT NULL,
    tombstone       text,                               -- takedown id; hidden from that moment, everywhere
    changed         bigint NOT NULL DEFAULT 0,          -- generation that brought the current acl, labels and tombstone
    PRIMARY KEY (corpus, id)
);
CREATE INDEX document_changed ON document (corpus, changed);

-- A process that has seen generation g reads only what changed after it. The lock keeps the generation still until this
-- transaction has counted it, so a change is never marked with a generation that others have already passed.
CREATE FUNCTION mark_document_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    SELECT generation + 1 INTO NEW.changed FROM public.corpus WHERE name = NEW.corpus FOR UPDATE;
    RETURN NEW;
END $$;
CREATE TRIGGER document_changed BEFORE UPDATE OF acl, classification, region, tombstone ON document
    FOR EACH ROW WHEN ((OLD.acl, OLD.classification, OLD.region, OLD.tombstone)
                       IS DISTINCT FROM (NEW.acl, NEW.classification, NEW.region, NEW.tombstone))
    EXECUTE FUNCTION mark_document_change();

CREATE TABLE revision (
    corpus          text NOT NULL,
    rev             bigint NOT NULL,
    document        text NOT NULL,
    hash            text NOT NULL,                      -- sha256: of the normalised text with its sections
    meta_hash       text NOT NULL,                      -- sha256: of title, dates, uri: a change here alone is "metadata"
    salt            bytea,                              -- deleted on purge: the commitment stays, the content cannot be tested
    commitment      text NOT NULL,
    title           text NOT NULL DEFAULT '',
    effective_from  date,
    effective_to    date,
    retained_until  date,
    lineage         jsonb NOT NULL,
    PRIMARY KEY (corpus, rev),
    FOREIGN KEY (corpus, document) REFERENCES document (corpus, id)
);
CREATE INDEX revision_document ON revision (corpus, document);

CREATE TABLE chunk (
    corpus          text NOT NULL,
    rev             bigint NOT NULL,
    ordinal         integer NOT NULL,
    content_hash    text NOT NULL,
    section         text NOT NULL DEFAULT '',
    tokens          integer NOT NULL,
    start_offset    integer NOT NULL,
    end_offset      integer NOT NULL,
    PRIMARY KEY (corpus, rev, ordinal),
    FOREIGN KEY (corpus, rev) REFERENCES revision (corpus, rev)
);
CREATE INDEX chunk_content ON chunk (corpus, content_hash);

-- One partition per corpus is created when the corpus first appears: VACUUM FULL of a takedown locks one corpus only.
CREATE TABLE chunk_text (
    corpus          text NOT NULL,
    content_hash    text NOT NULL,
    heading         text NOT NULL DEFAULT '',
    body            text NOT NULL,
    PRIMARY KEY (corpus, content_hash)
) PARTITION BY LIST (corpus);
-- Uncompressed, so that the scan after a purge can search the files for the text itself.
ALTER TABLE chunk_text ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE chunk_text ALTER COLUMN heading SET STORAGE EXTERNAL;
-- A partition belongs to its table's owner; the application role, which is not, makes one through this function only.
CREATE FUNCTION make_chunk_partition(corpus_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF corpus_name !~ '^[a-z0-9][a-z0-9-]{0,39}$' THEN
        RAISE EXCEPTION 'no corpus name: %', corpus_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.chunk_text FOR VALUES IN (%L)',
                   'chunk_text_' || corpus_name, corpus_name);
END $$;

CREATE TABLE embedding (
    corpus          text NOT NULL,
    model           text NOT NULL,
    content_hash    text NOT NULL,
    vector          bytea NOT NULL,
    PRIMARY KEY (corpus, model, content_hash)
);

CREATE TABLE corpus_version (
    corpus          text NOT NULL REFERENCES corpus (name),
    number          integer NOT NULL,
    state           text NOT NULL CHECK (state IN ('building', 'proposed', 'accepted', 'rejected', 'failed', 'superseded')),
    parent          integer,
    bitmap          bytea NOT NULL,                     -- portable Roaring bitmap of rev
    digest          text NOT NULL,
    commitments     bytea NOT NULL,                     -- canonical JSON of the digest: ids and commitments, no content
    summary         jsonb NOT NULL,                     -- counts, diff lists, quality findings, needs_review, blocking
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL,
    decided_by      text,
    decided_at      timestamptz,
    decision_note   text,
    PRIMARY KEY (corpus, number)
);

-- Tells whether a portable Roaring bitmap (github.com/RoaringBitmap/RoaringFormatSpec) holds a value: the last wall asks
-- the version itself, not what a process remembers of it. A bitmap that cannot be read raises; nothing is then shown.
CREATE FUNCTION bitmap_holds(bitmap bytea, value bigint) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    map      bytea := bitmap || ''::bytea;              -- read from its table once, not for every byte
    wanted   integer := (value >> 16)::integer;         -- key of the container
    low      integer := (value & 65535)::integer;       -- place inside it
    has_runs boolean := (get_byte(map, 0) | (get_byte(map, 1) << 8)) = 12347;
    size     integer;
    header   integer;                                   -- where keys and cardinalities stand
    at       integer;                                   -- where the container stands
    first    integer := 0;
    last     integer;
    middle   integer;
    found    integer;
    is_run   boolean := false;
    count    integer;
BEGIN
    IF has_runs THEN
        size := (get_byte(map, 2) | (get_byte(map, 3) << 8)) + 1;
        header := 4 + (size + 7) / 8;
    ELSE
        size := get_byte(map, 4) | (get_byte(map, 5) << 8) | (get_byte(map, 6) << 16);
        header := 8;
    END IF;
    last := size - 1;
    LOOP
        IF first > last THEN RETURN false; END IF;
        middle := (first + last) / 2;
        found := get_byte(map, header + 4 * middle) | (get_byte(map, header + 4 * middle + 1) << 8);
        EXIT WHEN found = wanted;
        IF found < wanted THEN first := middle + 1; ELSE last := middle - 1; END IF;
    END LOOP;
    at := header + 4 * size;
    IF NOT has_runs OR size >= 4 THEN
        at := at + 4 * middle;
        at := get_byte(map, at) | (get_byte(map, at + 1) << 8) | (get_byte(map, at + 2) << 16)
            | (get_byte(map, at + 3) << 24);
    END IF;
    FOR number IN CASE WHEN NOT has_runs OR size >= 4 THEN middle ELSE 0 END .. middle LOOP
        is_run := has_runs AND ((get_byte(map, 4 + number / 8) >> (number % 8)) & 1) = 1;
        count := 1 + (get_byte(map, header + 4 * number + 2) | (get_byte(map, header + 4 * number + 3) << 8));
        IF is_run THEN count := get_byte(map, at) | (get_byte(map, at + 1) << 8); END IF;
        EXIT WHEN number = middle;                      -- without offsets the containers before it are stepped over
        at := at + CASE WHEN is_run THEN 2 + 4 * count WHEN count > 4096 THEN 8192 ELSE 2 * count END;
    END LOOP;
    IF NOT is_run AND count > 4096 THEN
        RETURN get_bit(substring(map FROM at + low / 8 + 1 FOR 1), low % 8) = 1;
    END IF;
    first := 0;
    last := count - 1;
    WHILE first <= last LOOP                            -- runs are (start, length - 1), arrays are values
        middle := (first + last) / 2;
        found := CASE WHEN is_run THEN at + 2 + 4 * middle ELSE at + 2 * middle END;
        header := get_byte(map, found) | (get_byte(map, found + 1) << 8);
        IF header > low THEN last := middle - 1;
        ELSIF header = low THEN RETURN true;
        ELSIF is_run AND low <= header + (get_byte(map, found + 2) | (get_byte(map, found + 3) << 8)) THEN RETURN true;
        ELSE first := middle + 1;
        END IF;
    END LOOP;
    RETURN false;
END $$;

CREATE TABLE takedown (
    id              text PRIMARY KEY,
    corpus          text NOT NULL,
    document        text NOT NULL,
    document_commit text NOT NULL,
    reason          text NOT NULL,
    state           text NOT NULL,                      -- hidden, erasing, purged, purged_primary, purged_with_duplicates,
                                                        -- unprovable_by_scan, purge_failed, held
    include_duplicates boolean NOT NULL DEFAULT false,
    step            text NOT NULL DEFAULT 'hidden',
    also_in         text[] NOT NULL DEFAULT '{}',
    versions_affected integer[] NOT NULL DEFAULT '{}',
    proof           jsonb,
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL,
    finished_at     timestamptz
);

CREATE TABLE block_list (
    corpus          text NOT NULL,
    document        text NOT NULL,
    revision_hmac   text NOT NULL,                      -- HMAC of a revision hash: the same content under another id is caught
    takedown        text NOT NULL REFERENCES takedown (id),
    lifted_at       timestamptz,
    PRIMARY KEY (corpus, document, revision_hmac)
);

-- releases ---------------------------------------------------------------------------------------------------------
CREATE TABLE blob (
    sha256          text PRIMARY KEY,
    size            bigint NOT NULL,
    media           text NOT NULL,
    body            bytea NOT NULL
);
ALTER TABLE blob ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE part (
    digest          text PRIMARY KEY,
    kind            text NOT NULL,
    body            bytea NOT NULL                      -- canonical JSON; files stand in blob by their sha256
);

CREATE TABLE authorship (
    part_digest     text NOT NULL REFERENCES part (digest),
    person          text NOT NULL,
    how             text NOT NULL,
    ref             text NOT NULL DEFAULT '',
    at              timestamptz NOT NULL,
    PRIMARY KEY (part_digest, person, how, ref)
);

CREATE TABLE release (
    digest          text PRIMARY KEY,
    workflow        text NOT NULL,
    parent          text REFERENCES release (digest),
    parts_digest    text NOT NULL,
    manifest        bytea NOT NULL,
    state           text NOT NULL CHECK (state IN ('sealed', 'deprecated', 'quarantined', 'revoked')),
    seal            bytea NOT NULL,                     -- canonical JSON of the seal record, without its signature
    signature       text NOT NULL,
    key_name        text NOT NULL,
    note            text NOT NULL DEFAULT '',
    sealed_by       text NOT NULL,
    sealed_at       timestamptz NOT NULL,
    state_note      text
);
CREATE INDEX release_workflow ON release (workflow, sealed_at);

CREATE TABLE evidence (
    id              text PRIMARY KEY,
    sha256          text NOT NULL REFERENCES blob (sha256),
    kind            text NOT NULL,
    subject_kind    text NOT NULL,
    subject         text NOT NULL,
    space           text,
    suite           text NOT NULL DEFAULT '',
    producer        text NOT NULL,
    trust           text NOT NULL,
    produced_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    claims          jsonb NOT NULL,
    state           text NOT NULL,
    reason          jsonb
);
CREATE INDEX evidence_subject ON evidence (subject, kind, received_at);

-- serving ----------------------------------------------------------------------------------------------------------
CREATE TABLE routing (
    space           text NOT NULL,
    workflow        text NOT NULL,
    generation      bigint NOT NULL,
    stable          text REFERENCES release (digest),
    candidate       text REFERENCES release (digest),
    fraction_ppm    integer NOT NULL DEFAULT 0,
    cohort          jsonb NOT NULL DEFAULT '{}',
    pins            jsonb NOT NULL DEFAULT '{}',
    salt            text NOT NULL DEFAULT '',
    paused          boolean NOT NULL DEFAULT false,
    fence           bigint NOT NULL DEFAULT 0,
    reason          text NOT NULL,
    changed_at      timestamptz NOT NULL,
    PRIMARY KEY (space, workflow)
);

CREATE TABLE deployment (
    id              text PRIMARY KEY,
    workflow        text NOT NULL,
    space           text NOT NULL,
    release         text NOT NULL REFERENCES release (digest),
    basis           text NOT NULL,
    engine          text NOT NULL,
    promoted_by     text NOT NULL,
    at              timestamptz NOT NULL,
    previous        text,
    state           text NOT NULL
);

CREATE TABLE service_key (
    id              text PRIMARY KEY,                   -- the 10 public characters of the key
    secret_sha256   bytea NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('local', 'service')),
    name            text NOT NULL,                      -- service name, or the person id of a local key
    owner           text NOT NULL,
    spaces          text[] NOT NULL DEFAULT '{}',       -- empty = every space
    workflows       text[] NOT NULL DEFAULT '{}',
    scopes          text[] NOT NULL,
    groups          text[] NOT NULL DEFAULT '{}',
    ips             text[] NOT NULL DEFAULT '{}',
    delegation      text NOT NULL DEFAULT 'optional',
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz
);

CREATE TABLE principal_pseudonym (
    principal       text PRIMARY KEY,                   -- iss|sub, local|person, key|service
    pseudonym       text NOT NULL UNIQUE
);

CREATE TABLE interaction (
    id              text NOT NULL,
    at              timestamptz NOT NULL,
    space           text NOT NULL,
    workflow        text NOT NULL,
    arm             text NOT NULL,
    release         text,
    corpus          text,
    corpus_version  integer,
    as_of           date,
    principal       text NOT NULL,                      -- pseudonym
    kind            text NOT NULL,
    state           text NOT NULL,                      -- open, final, delivery_unknown
    outcome         text NOT NULL,
    code            text,
    refused         boolean NOT NULL,
    detail          jsonb NOT NULL,                     -- the remaining fields of serving.md 7.4, as recorded in the ledger
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE INDEX interaction_id ON interaction (id);
CREATE TABLE interaction_default PARTITION OF interaction DEFAULT;

-- Makes the partition of a month (UTC) ahead of time, for the application role too; false when there is nothing to do.
-- A month whose rows came first keeps them in the default partition.
CREATE FUNCTION make_interaction_month(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    first     timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
    following timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    name      text := 'interaction_' || to_char(month, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pilotage interaction partitions'));
    IF to_regclass('public.' || name) IS NOT NULL
       OR EXISTS (SELECT 1 FROM public.interaction_default WHERE at >= first AND at < following) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.interaction FOR VALUES FROM (%L) TO (%L)',
                   name, first, following);
    RETURN true;
END $$;

-- What happened to an interaction after its opening record; a row is written once and never updated.
CREATE TABLE interaction_closing (
    interaction     text PRIMARY KEY,
    at              timestamptz NOT NULL,
    state           text NOT NULL,
    outcome         text NOT NULL,
    code            text,
    refused         boolean NOT NULL,
    detail          jsonb NOT NULL
);

CREATE TABLE interaction_text (
    id              text PRIMARY KEY,
    question        text NOT NULL,                      -- redacted before it is stored
    answer          text NOT NULL,
    groups          text[] NOT NULL DEFAULT '{}',
    salt            bytea NOT NULL,
    at              timestamptz NOT NULL
);
ALTER TABLE interaction_text ALTER COLUMN question SET STORAGE EXTERNAL;
ALTER TABLE interaction_text ALTER COLUMN answer SET STORAGE EXTERNAL;

-- Which revisions an answer cited: the takedown of one replaces the texts of the other.
CREATE TABLE interaction_citation (
    interaction     text NOT NULL,
    corpus          text NOT NULL,
    document        text NOT NULL,
    rev             bigint NOT NULL,
    ordinal         integer NOT NULL,
    marker          integer NOT NULL,
    PRIMARY KEY (interaction, marker, ordinal)
);
CREATE INDEX interaction_citation_document ON interaction_citation (corpus, document);

CREATE TABLE idempotency (
    principal       text NOT NULL,
    workflow        text NOT NULL,
    key_hash        text NOT NULL,
    body_hash       text NOT NULL,
    interaction     text NOT NULL,
    state           text NOT NULL,                      -- running, done
    answer          text,                               -- the redacted reply body; cleared with the interaction's text
    at              timestamptz NOT NULL,
    PRIMARY KEY (principal, workflow, key_hash)
);

CREATE TABLE feedback (
    id              text PRIMARY KEY,
    interaction     text NOT NULL,
    principal       text NOT NULL,
    rating          text NOT NULL CHECK (rating IN ('up', 'down')),
    comment         text,
    correction      text,
    at              timestamptz NOT NULL
);
CREATE INDEX feedback_interaction ON feedback (interaction, at);

-- ledger -----------------------------------------------------------------------------------------------------------
CREATE TABLE ledger_entry (
    id              text PRIMARY KEY,                   -- ULID
    seq             bigint UNIQUE,                      -- NULL until the sequencer numbers it, from 0, without gaps
    kind            text NOT NULL,
    subject         text NOT NULL,
    bytes           bytea NOT NULL,                     -- exactly what is hashed, at most 64 KiB
    inserted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (octet_length(bytes) <= 65536)
);
CREATE INDEX ledger_unnumbered ON ledger_entry (id) WHERE seq IS NULL;
CREATE INDEX ledger_subject ON ledger_entry (subject);

CREATE TABLE ledger_tile (
    level           integer NOT NULL,
    index           bigint NOT NULL,
    hashes          bytea NOT NULL,                     -- up to 256 hashes of 32 bytes; full tiles never change
    PRIMARY KEY (level, index)
);
ALTER TABLE ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE ledger_head (
    singleton       boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    size            bigint NOT NULL,
    generation      bigint NOT NULL,                    -- fencing token of the sequencer
    epoch           integer NOT NULL DEFAULT 1,         -- +1 after a restore: the log goes on under a new origin
    key_name        text,                               -- the keyring's name of the current checkpoint key
    key_public      bytea,                              -- its public key: another key under the same name is noticed
    stopped         text                                -- why sequencing stopped, until a person opens a new epoch
);
INSERT INTO ledger_head (size, generation) VALUES (0, 0);

CREATE TABLE ledger_checkpoint (
    size            bigint NOT NULL,
    origin          text NOT NULL,                      -- ledger.<workspace>, with .epoch-<n> after a restore
    key_id          text NOT NULL,                      -- 8 hex digits; names key and origin at once (C2SP signed note)
    root            bytea NOT NULL,
    note            text NOT NULL,
    signed_at       timestamptz NOT NULL,
    published_to    text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (size, key_id)
);

-- Salts and values behind the ledger's commitments: deletable, the ledger itself never is.
CREATE TABLE ledger_disclosure (
    entry           text NOT NULL,
    field           text NOT NULL,
    salt            bytea NOT NULL,
    value           text NOT NULL,
    PRIMARY KEY (entry, field)
);

CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.seq IS NULL AND NEW.seq IS NOT NULL
       AND NEW.id = OLD.id AND NEW.bytes = OLD.bytes AND NEW.kind = OLD.kind AND NEW.subject = OLD.subject THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only (% refused)', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

-- runs: long waits are rows ----------------------------------------------------------------------------------------
CREATE TABLE run (
    kind            text NOT NULL,
    key             text NOT NULL,
    state           text NOT NULL,                      -- due, done, failed
    due_at          timestamptz NOT NULL,
    attempt         integer NOT NULL DEFAULT 0,
    lease_owner     text,
    lease_until     timestamptz,
    generation      bigint NOT NULL DEFAULT 0,          -- fencing token: +1 with every lease
    requested       bigint NOT NULL DEFAULT 1,          -- +1 each time the work is asked for, also while it runs
    payload         jsonb NOT NULL DEFAULT '{}',
    last_error      text,
    PRIMARY KEY (kind, key)
);
CREATE INDEX run_due ON run (due_at) WHERE state = 'due';

CREATE TABLE outbox (
    id              text PRIMARY KEY,
    seq             bigint GENERATED ALWAYS AS IDENTITY, -- delivery order within (kind, target)
    kind            text NOT NULL,
    target          text NOT NULL,
    payload         jsonb NOT NULL,
    idempotency_key text NOT NULL,
    state           text NOT NULL DEFAULT 'waiting',    -- waiting, done, dead
    attempt         integer NOT NULL DEFAULT 0,
    next_at         timestamptz NOT NULL,
    last_error      text
);
CREATE INDEX outbox_next ON outbox (next_at) WHERE state = 'waiting';
CREATE INDEX outbox_order ON outbox (kind, target, seq) WHERE state = 'waiting';

-- One row per live process: heartbeats, clock skew, what each has applied.
CREATE TABLE process (
    id              text PRIMARY KEY,
    kind            text NOT NULL,
    host            text NOT NULL,
    pid             integer NOT NULL,
    started_at      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    clock_skew_ms   integer NOT NULL DEFAULT 0,
    applied         jsonb NOT NULL DEFAULT '{}'
);
