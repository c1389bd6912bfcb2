"""A text that changes with every ledger entry that is not about an answer: each state change has one.

Rule: the last 500 numbered entries and those without a number yet, whatever the ledger's size. Fail mode: under so many
answers that nothing else is among them it stays the same, and pages look again once a minute.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

_LAST = text("""
SELECT concat_ws('/',
  (SELECT max(seq) FROM (SELECT seq, kind FROM ledger_entry WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 500) AS newest
    WHERE kind NOT LIKE 'interaction.%'),
  (SELECT concat(count(*), ':', max(id)) FROM ledger_entry WHERE seq IS NULL AND kind NOT LIKE 'interaction.%'))
""")


def last_deed(connection: Connection) -> str:
    """Return the text."""
    found: str = connection.execute(_LAST).scalar_one()
    return found
