"""The space filter of the header: lists that know spaces show those of one; the filter stands in the address.

Fail mode: a space that is not declared is ignored, and the page says so.
"""

from __future__ import annotations

from pilotage.console.visit import Visit
from pilotage.core.ids import SpaceName


def chosen_space(visit: Visit) -> tuple[SpaceName | None, str]:
    """Return the space that the address asks for, and a name there that is no space; None and "" without one."""
    asked = visit.query.get("space", "")
    if asked in visit.instance.workspace.spaces:
        return SpaceName(asked), ""
    return None, asked
