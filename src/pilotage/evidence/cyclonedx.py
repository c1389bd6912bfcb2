"""CycloneDX 1.2 to 1.6 (ECMA-424), JSON and XML, as bill of material, VEX or scan (gates.md 2.6).

Rule: of several ratings the highest counts, and a rating of 0 lowers nothing; several licences of one component all
apply. Fail mode: another version is EV_UNSUPPORTED; what is missing is what `bom.bom_reading` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.bom import Analysis, Bom, Component, Licence, Vulnerability, bom_reading
from pilotage.evidence.cyclonedx_xml import is_cyclonedx_xml, xml_as_json
from pilotage.evidence.json_values import as_list, as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, Severity
from pilotage.evidence.severity import highest, of_rating, of_word
from pilotage.evidence.shapes import mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable, XmlContent
from pilotage.evidence.times import file_time

READER = "CycloneDX"
VERSIONS = ("1.2", "1.3", "1.4", "1.5", "1.6")


def is_cyclonedx(content: Content) -> bool:
    """Tell CycloneDX by its `bomFormat`, or by the namespace of its XML."""
    if isinstance(content, JsonContent):
        return as_map(content.value).get("bomFormat") == READER
    return isinstance(content, XmlContent) and is_cyclonedx_xml(content.root)


def read_cyclonedx(source: Source, context: ReadContext) -> Reading:
    """Return the reading for the source's kind; raise Unreadable as the module says."""
    value = xml_as_json(source.root) if isinstance(source.content, XmlContent) else as_map(source.json)
    version = as_text(value.get("specVersion"))
    if version not in VERSIONS:
        raise Unreadable(
            "EV_UNSUPPORTED", "This version of CycloneDX is not read.", observed=version or "none", limit="1.2 to 1.6"
        )
    return bom_reading(source.kind, _bom(value), context)


def _bom(value: Mapping[str, Json]) -> Bom:
    metadata = mapped(value.get("metadata"), "metadata")
    product = metadata.get("component")
    serial = as_text(value.get("serialNumber"))
    return Bom(
        reader=READER,
        components=tuple(_components(value.get("components"))),
        product=None if product is None else _component(mapped(product, "metadata.component")),
        vulnerabilities=tuple(_vulnerability(one) for one in objects(value.get("vulnerabilities"), "vulnerabilities")),
        tools=_tools(metadata.get("tools")),
        produced_at=file_time(as_text(metadata.get("timestamp"))),
        refs={"serial": serial[:200]} if serial else {},
    )


def _components(value: Json) -> Iterator[Component]:
    for one in objects(value, "components"):
        yield _component(one)
        yield from _components(one.get("components"))


def _component(one: Mapping[str, Json]) -> Component:
    return Component(
        name=as_text(one.get("name")),
        version=as_text(one.get("version")),
        purl=as_text(one.get("purl")),
        ref=as_text(one.get("bom-ref")),
        licences=tuple(_licences(one.get("licenses"))),
    )


def _licences(value: Json) -> Iterator[Licence]:
    for one in objects(value, "licenses"):
        if "expression" in one:
            yield Licence(text=as_text(one["expression"]), is_expression=True)
            continue
        licence = mapped(one.get("license"), "license")
        identifier = as_text(licence.get("id"))
        yield Licence(text=identifier or as_text(licence.get("name")), is_expression=bool(identifier))


def _vulnerability(one: Mapping[str, Json]) -> Vulnerability:
    aliases = [as_text(as_map(reference).get("id")) for reference in as_list(one.get("references"))]
    ids = tuple(dict.fromkeys(name for name in (as_text(one.get("id")), *aliases) if name))
    analysis = mapped(one.get("analysis"), "analysis")
    state = _state(as_text(analysis.get("state")))
    justification = as_text(analysis.get("justification"))
    if state is Analysis.FALSE_POSITIVE and not justification:
        # CycloneDX defines `justification` for not_affected only; a false positive is explained in `detail`.
        justification = as_text(analysis.get("detail"))
    return Vulnerability(
        ids=ids or ("no advisory",),
        severity=_severity(objects(one.get("ratings"), "ratings")),
        title=as_text(one.get("description"))[:500],
        affects=tuple(as_text(target.get("ref")) for target in objects(one.get("affects"), "affects")),
        analysis=state,
        justification=justification,
    )


def _state(text: str) -> Analysis:
    known = {state.value: state for state in Analysis}
    return known.get(text, Analysis.IN_TRIAGE)


def _severity(ratings: Sequence[Mapping[str, Json]]) -> Severity:
    scores = [of_rating(rating.get("score")) for rating in ratings]
    return highest([*scores, *(of_word(as_text(rating.get("severity"))) for rating in ratings)])


def _tools(value: Json) -> tuple[str, ...]:
    # 1.5 moved tools from a list of tools to an object that holds components.
    listed = as_list(value) or as_list(at(value, "components"))
    return tuple(dict.fromkeys(name for one in listed if (name := as_text(as_map(one).get("name")))))
