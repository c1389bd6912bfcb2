-- Cells that sealing trained for approximate vectors; their bytes stand in `blob` under the same digest.
CREATE TABLE vector_cells (
    corpus          text NOT NULL,
    model           text NOT NULL,                      -- which vectors: embedding.model
    digest          text NOT NULL,
    public          bigint NOT NULL,                    -- chunks that everybody could read when they were trained
    at              timestamptz NOT NULL,
    PRIMARY KEY (corpus, model, digest)
);
