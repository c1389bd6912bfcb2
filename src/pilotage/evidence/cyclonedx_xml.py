"""CycloneDX XML written as the JSON of the same standard, so one reader serves both (ECMA-424, schema bom-1.6.xsd).

Rule: only what is read is carried over, the early vulnerability extension (`ext/vulnerability/1.0`) included. Fail
mode: an element that is absent stays absent; a score that is no number is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element  # only the record type; parsing is ours (xml_tree.py)

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import number_in
from pilotage.evidence.xml_tree import local

_NAMESPACE = "{http://cyclonedx.org/schema/bom/"
_TEXTS = ("name", "version", "purl")


def is_cyclonedx_xml(root: Element) -> bool:
    """Tell a bill of material by its root element and namespace."""
    return root.tag.startswith(_NAMESPACE) and local(root.tag) == "bom"


def xml_as_json(root: Element) -> dict[str, Json]:
    """Return a bill of material as CycloneDX JSON writes it."""
    metadata = _child(root, "metadata")
    product = None if metadata is None else _child(metadata, "component")
    return {
        "specVersion": root.tag.removeprefix(_NAMESPACE).partition("}")[0],
        "serialNumber": root.get("serialNumber"),
        "metadata": {
            "timestamp": None if metadata is None else _text(metadata, "timestamp"),
            "component": None if product is None else _component(product),
            "tools": [{"name": _text(tool, "name")} for tool in _under(metadata, "tools", "tool")],
        },
        "components": [_component(one) for one in _under(root, "components", "component")],
        # The early extension also stands inside a component, so these are looked for at any depth.
        "vulnerabilities": [_vulnerability(one) for one in root.iter() if local(one.tag) == "vulnerability"],
    }


def _component(element: Element) -> dict[str, Json]:
    nested = [_component(one) for one in _under(element, "components", "component")]
    texts: dict[str, Json] = {name: _text(element, name) for name in _TEXTS}
    return texts | {"bom-ref": element.get("bom-ref"), "licenses": list(_licences(element)), "components": nested}


def _licences(component: Element) -> Iterator[Json]:
    holder = _child(component, "licenses")
    for one in () if holder is None else holder:
        if local(one.tag) == "expression":
            yield {"expression": one.text or ""}
        elif local(one.tag) == "license":
            yield {"license": {"id": _text(one, "id"), "name": _text(one, "name")}}


def _vulnerability(element: Element) -> dict[str, Json]:
    analysis = _child(element, "analysis")
    affects: list[Json] = [{"ref": _text(one, "ref")} for one in _under(element, "affects", "target")]
    own = element.get("ref")
    return {
        "id": _text(element, "id"),
        "description": _text(element, "description"),
        "references": [{"id": _text(one, "id")} for one in _under(element, "references", "reference")],
        "ratings": [_rating(one) for one in _under(element, "ratings", "rating")],
        "affects": [*affects, *([{"ref": own}] if own else [])],
        "analysis": None
        if analysis is None
        else {name: _text(analysis, name) for name in ("state", "justification", "detail")},
    }


def _rating(element: Element) -> dict[str, Json]:
    score = _child(element, "score")
    base = None if score is None else _text(score, "base") or score.text
    return {"score": number_in(base), "severity": _text(element, "severity")}


def _under(element: Element | None, holder: str, name: str) -> Iterator[Element]:
    found = None if element is None else _child(element, holder)
    return iter(()) if found is None else (one for one in found if local(one.tag) == name)


def _child(element: Element, name: str) -> Element | None:
    return next((one for one in element if local(one.tag) == name), None)


def _text(element: Element, name: str) -> str | None:
    found = _child(element, name)
    return None if found is None or found.text is None else found.text.strip()
