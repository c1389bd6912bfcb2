"""SPDX 2.2 and 2.3 (ISO/IEC 5962), JSON and tag-value, as bill of material (gates.md 2.6).

Rule: the declared licence is judged, the concluded one where nothing is declared; a security advisory of a package is a
finding of unknown severity. Fail mode: another version is EV_UNSUPPORTED, no package EV_EMPTY.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.bom import Bom, Component, Licence, Vulnerability, bom_reading
from pilotage.evidence.json_values import as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, Severity
from pilotage.evidence.shapes import objects
from pilotage.evidence.source import Content, JsonContent, Source, TextContent, Unreadable
from pilotage.evidence.spdx_tags import is_tag_value, tags_as_json
from pilotage.evidence.times import file_time

READER = "SPDX"
VERSIONS = ("SPDX-2.2", "SPDX-2.3")
_SAYS_NOTHING = frozenset({"", "NOASSERTION", "NONE"})
_ADVISORY = re.compile(r"[^/?#]+(?=[/?#]*\Z)")


def is_spdx(content: Content) -> bool:
    """Tell SPDX by its version in JSON, JSON-LD of version 3, or the tag `SPDXVersion`."""
    if isinstance(content, JsonContent):
        value = as_map(content.value)
        return "spdxVersion" in value or "spdx.org/rdf" in str(value.get("@context", ""))[:200]
    return isinstance(content, TextContent) and is_tag_value(content.value)


def read_spdx(source: Source, context: ReadContext) -> Reading:
    """Return the reading for the source's kind; raise Unreadable as the module says."""
    value = as_map(source.json) if isinstance(source.content, JsonContent) else tags_as_json(source.text)
    version = as_text(value.get("spdxVersion"))
    if version not in VERSIONS:
        raise Unreadable(
            "EV_UNSUPPORTED",
            "This version of SPDX is not read.",
            observed=version or "none",
            limit="SPDX-2.2, SPDX-2.3",
        )
    return bom_reading(source.kind, _bom(value), context)


def _bom(value: Mapping[str, Json]) -> Bom:
    packages = objects(value.get("packages"), "packages")
    extracted = objects(value.get("hasExtractedLicensingInfos"), "hasExtractedLicensingInfos")
    named = {as_text(one.get("licenseId")): as_text(one.get("name")) for one in extracted}
    namespace = as_text(value.get("documentNamespace"))
    return Bom(
        reader=READER,
        components=tuple(_component(one, named) for one in packages),
        vulnerabilities=tuple(found for one in packages for found in _advisories(one)),
        produced_at=file_time(as_text(at(value, "creationInfo", "created"))),
        refs={"serial": namespace[:200]} if namespace else {},
    )


def _component(package: Mapping[str, Json], named: Mapping[str, str]) -> Component:
    references = objects(package.get("externalRefs"), "externalRefs")
    purls = [as_text(one.get("referenceLocator")) for one in references if one.get("referenceType") == "purl"]
    return Component(
        name=as_text(package.get("name")),
        version=as_text(package.get("versionInfo")),
        purl=next(iter(purls), ""),
        ref=as_text(package.get("SPDXID")),
        licences=tuple(_licences(package, named)),
    )


def _licences(package: Mapping[str, Json], named: Mapping[str, str]) -> Iterator[Licence]:
    texts = (as_text(package.get(name)) for name in ("licenseDeclared", "licenseConcluded"))
    text = next((one for one in texts if one not in _SAYS_NOTHING), "")
    # A licence of the file's own (LicenseRef-...) is judged by the name the file gives it.
    if named.get(text):
        yield Licence(text=named[text], is_expression=False)
    elif text:
        yield Licence(text=text, is_expression=True)


def _advisories(package: Mapping[str, Json]) -> Iterator[Vulnerability]:
    for one in objects(package.get("externalRefs"), "externalRefs"):
        if one.get("referenceType") == "advisory":
            locator = as_text(one.get("referenceLocator"))
            found = _ADVISORY.search(locator[-2000:])
            yield Vulnerability(
                ids=(found[0] if found else locator or "no advisory",),
                severity=Severity.UNKNOWN,
                title=locator[:500],
                affects=(as_text(package.get("SPDXID")),),
            )
