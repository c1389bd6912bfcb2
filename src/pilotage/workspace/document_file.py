"""Reads `workflows/<name>/documents/*.md`: front matter `owner`, `version`, `valid_until`, and how many words follow.

Rule: a document's type is its file name. Required headings and placeholders are judged by the evidence reader, not
here. Fail mode: a missing owner, version or date is a mistake with its line.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pilotage.core.fields import TEXT, Fields
from pilotage.core.front_matter import split_front_matter
from pilotage.core.located import Located, Problems
from pilotage.core.readers import DATE, PERSON
from pilotage.workspace.workflow import WorkflowDocument

MAX_DOCUMENT_BYTES = 4_194_304


def parse_document(data: bytes, *, file: str, problems: Problems) -> WorkflowDocument | None:
    """Read one document; None (with a problem) when it cannot be read at all. Other front matter keys are kept."""
    split = split_front_matter(data, file=file, problems=problems, limit=MAX_DOCUMENT_BYTES)
    if split is None:
        return None
    at = split.at or Located(file=file, line=1, path="", node={})
    # A document has keys of its type beside these (risks of a risk assessment): they are not closed here.
    fields = Fields(at=at, problems=problems)
    version = fields.place("version")
    if isinstance(version.node, int | float) and not isinstance(version.node, bool):
        hint = f'Put it in quotes: version: "{version.node}".'
        problems.add(version, "'version' is a number, so 1.10 and 1.1 would be the same", hint)
        text = ""
    else:
        text = fields.need("version", TEXT)
    return WorkflowDocument(
        type=PurePosixPath(file).stem,
        file=file,
        owner=fields.need("owner", PERSON),
        version=text,
        valid_until=fields.need("valid_until", DATE),
        words=len(split.body.split()),
        notes=split.notes,
    )
