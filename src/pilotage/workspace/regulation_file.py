"""Reads `regulations/*.yaml`: one checklist per file, named by `checklist`.

Rule: every item has an id of its own and names the paragraph it comes from; whether a gate asks for its evidence is
checked where a gate names the checklist. Fail mode: a missing source or date, or an id used twice, refuses the file.
"""

from __future__ import annotations

from pilotage.core.fields import TEXT, Fields, list_of, record
from pilotage.core.readers import DATE, SLUG_TEXT
from pilotage.workspace.regulation import Regulation, RegulationItem


def parse_regulation(fields: Fields) -> Regulation:
    """Read one checklist."""
    found = Regulation(
        name=fields.need("checklist", SLUG_TEXT),
        title=fields.need("title", TEXT),
        source=fields.need("source", TEXT),
        as_of=fields.need("as_of", DATE).isoformat(),
        items=fields.need("items", list_of(record(_item), at_least=1)),
    )
    ids = [item.id for item in found.items]
    for twice in sorted({name for name in ids if name and ids.count(name) > 1}):
        fields.problem("items", f"Two items have the id {twice!r}", "Give each item an id of its own.")
    return found


def _item(fields: Fields) -> RegulationItem:
    return RegulationItem(
        id=fields.need("id", SLUG_TEXT),
        text=fields.need("text", TEXT),
        cite=fields.need("cite", TEXT),
        evidence=fields.get("evidence", list_of(TEXT, or_one=True), ()),
    )
