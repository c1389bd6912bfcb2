-- Requests that were let in, counted in cells of a sixtieth of their window (serving.md 3.2).
-- scope: whose limit, with its window, so that another window counts anew. cell: floor(seconds / width of a cell).
-- used: permits that processes hold or have used. expires_at: when the last window that touches the cell is over.
CREATE TABLE rate_cell (
  scope text NOT NULL,
  cell bigint NOT NULL,
  used bigint NOT NULL CHECK (used >= 0),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (scope, cell)
);
CREATE INDEX rate_cell_expires ON rate_cell (expires_at);
