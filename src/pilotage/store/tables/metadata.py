"""The one MetaData of the schema: every room's tables register here, so that one test can compare all of them.

The SQL under `store/migrations/` is the schema; these tables mirror it for queries. Rule: a table stands in the file of
its room, and `tests/store/test_tables.py` fails when mirror and migrated database differ.
"""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
"""Names follow PostgreSQL's own defaults, which the SQL files rely on."""
