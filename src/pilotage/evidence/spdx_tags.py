"""SPDX tag-value written as the JSON of the same standard, so one reader serves both (SPDX 2.3 section 6 and 7).

Rule: tags of a package hold until the next package, file, snippet or licence begins; `<text>` may span lines. Fail
mode: a line that is no tag, or a `<text>` that never ends, is EV_MALFORMED.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pilotage.core.canonical import Json
from pilotage.evidence.source import Unreadable

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9]*):[ \t]*(.*)\Z")
# Possessive, so that a long run of white space that leads nowhere is tried once.
_START = re.compile(r"(?:\s++|#[^\n]*+\n)*+SPDXVersion:")
_PACKAGE = {
    "SPDXID": "SPDXID",
    "PackageVersion": "versionInfo",
    "PackageLicenseDeclared": "licenseDeclared",
    "PackageLicenseConcluded": "licenseConcluded",
}
_LEAVES = frozenset({"FileName", "SnippetSPDXID"})


def is_tag_value(text: str) -> bool:
    """Tell a tag-value file by the tag it must begin with."""
    return _START.match(text[:4000]) is not None


def tags_as_json(text: str) -> dict[str, Json]:
    """Return the document as SPDX JSON writes it, with what the reader uses; raise EV_MALFORMED."""
    document: dict[str, Json] = {}
    packages: list[dict[str, Json]] = []
    licences: list[dict[str, Json]] = []
    references: list[Json] = []
    package: dict[str, Json] | None = None
    for tag, value in _tags(text):
        if tag == "PackageName":
            references = []
            package = {"name": value, "externalRefs": references}
            packages.append(package)
        elif tag in _LEAVES:
            package = None
        elif tag == "LicenseID":
            package = None
            licences.append({"licenseId": value})
        elif tag == "LicenseName" and licences:
            licences[-1]["name"] = value
        elif tag == "ExternalRef" and package is not None:
            references.append(_reference(value))
        elif tag in _PACKAGE and package is not None:
            package[_PACKAGE[tag]] = value
        else:
            _add_document_tag(document, tag, value)
    return document | {"packages": packages, "hasExtractedLicensingInfos": licences}


def _add_document_tag(document: dict[str, Json], tag: str, value: str) -> None:
    if tag == "SPDXVersion":
        document["spdxVersion"] = value
    elif tag == "DocumentNamespace":
        document["documentNamespace"] = value
    elif tag == "Created":
        document["creationInfo"] = {"created": value}


def _reference(value: str) -> dict[str, Json]:
    parts = value.split(maxsplit=2)
    category, kind, locator = (*parts, "", "", "")[:3]
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def _tags(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line.strip())
        if match is None:
            raise Unreadable("EV_MALFORMED", f"Line {number} is no SPDX tag.", observed=line[:60])
        value = match[2].strip()
        if value.startswith("<text>"):
            parts = [value.removeprefix("<text>")]
            while "</text>" not in parts[-1]:
                following = next(lines, None)
                if following is None:
                    raise Unreadable("EV_MALFORMED", f"The <text> of line {number} never ends.")
                parts.append(following[1])
            value = "\n".join(parts).partition("</text>")[0].strip()
        yield match[1], value
