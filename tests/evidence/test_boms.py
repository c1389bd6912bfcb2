"""Bills of material: every component and licence counts, in each form of each format."""

from __future__ import annotations

import json

import pytest

from pilotage.core.canonical import Json
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

DENIED = ReadContext(denied_licences=frozenset({"SSPL-1.0"}))


def outcome(value: Json | str, kind: str = "sbom") -> Reading | ReadRefusal:
    text = value if isinstance(value, str) else json.dumps(value)
    return read_evidence(text.encode(), kind=kind, name="bom", context=DENIED)


def claims(value: Json | str, kind: str = "sbom") -> dict[str, float]:
    reading = outcome(value, kind)
    assert isinstance(reading, Reading), reading
    return dict(reading.claims)


def code(value: Json | str, kind: str = "sbom") -> str:
    refused = outcome(value, kind)
    assert isinstance(refused, ReadRefusal), refused
    return refused.reason.code


def cyclonedx(*components: Json, **more: Json) -> Json:
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": list(components), **more}


@pytest.mark.feature("X27")
def test_nested_components_and_all_licences_count() -> None:
    inner: Json = {
        "name": "b",
        "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Server Side Public License"}}],
    }
    found = claims(cyclonedx({"name": "a", "licenses": [{"expression": "MIT OR SSPL-1.0"}], "components": [inner]}))
    assert (found["components"], found["denied"], found["unknown_licence"]) == (2, 1, 0)


def test_a_component_without_a_licence_is_unknown() -> None:
    assert claims(cyclonedx({"name": "a"}, {"name": "b", "licenses": [{}]}))["unknown_licence"] == 2


@pytest.mark.parametrize("version", ["1.1", "1.7", "2.0", None])
def test_another_version_is_unsupported(version: str | None) -> None:
    assert code({"bomFormat": "CycloneDX", "specVersion": version, "components": [{"name": "a"}]}) == "EV_UNSUPPORTED"


def test_a_file_with_nothing_in_it_is_empty_for_each_kind() -> None:
    for kind in ("sbom", "licences", "vex", "scan.deps"):
        assert code(cyclonedx(), kind) == "EV_EMPTY"


def test_an_inventory_is_no_proof_of_a_clean_scan() -> None:
    reading = outcome(cyclonedx({"name": "a"}), "scan.deps")
    assert isinstance(reading, Reading)
    assert reading.refs["unproven_clean"]


def test_the_product_of_a_file_is_known_by_name_and_is_no_component() -> None:
    product: Json = {"name": "shop", "version": "1", "bom-ref": "root"}
    reading = outcome(
        cyclonedx({"name": "a", "version": "2"}, metadata={"component": product, "tools": [{"name": "t"}]})
    )
    assert isinstance(reading, Reading)
    assert reading.claims["components"] == 1
    assert {"a@2", "shop@1", "root"} <= set(reading.names["components"])


def test_xml_reads_as_json_does() -> None:
    xml = (
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="urn:uuid:1"><metadata>'
        "<timestamp>2026-11-01T00:00:00Z</timestamp><tools><tool><name>t</name></tool></tools>"
        '<component><name>shop</name></component></metadata><components><component bom-ref="r"><name>a</name>'
        "<version>1</version><licenses><license><id>SSPL-1.0</id></license></licenses><components><component>"
        "<name>b</name><licenses><expression>MIT</expression></licenses></component></components></component>"
        "</components><vulnerabilities><vulnerability><id>CVE-1</id><ratings><rating><score>9.8</score>"
        "</rating></ratings><affects><target><ref>r</ref></target></affects><analysis><state>in_triage</state>"
        "</analysis></vulnerability></vulnerabilities></bom>"
    )
    found = claims(xml)
    assert (found["components"], found["denied"], found["unknown_licence"], found["critical"]) == (2, 1, 0, 1)
    assert claims(xml, "vex")["critical"] == 1


def spdx(*packages: Json, version: str = "SPDX-2.3", **more: Json) -> Json:
    return {"spdxVersion": version, "packages": list(packages), **more}


@pytest.mark.feature("X27")
def test_spdx_judges_the_declared_licence_and_else_the_concluded_one() -> None:
    found = claims(
        spdx(
            {"name": "a", "licenseDeclared": "SSPL-1.0", "licenseConcluded": "MIT"},
            {"name": "b", "licenseDeclared": "NOASSERTION", "licenseConcluded": "SSPL-1.0"},
            {"name": "c", "licenseDeclared": "NONE", "licenseConcluded": "NOASSERTION"},
            {"name": "d", "licenseDeclared": "LicenseRef-1"},
            version="SPDX-2.2",
            hasExtractedLicensingInfos=[{"licenseId": "LicenseRef-1", "name": "Server Side Public License"}],
        )
    )
    assert (found["components"], found["denied"], found["unknown_licence"]) == (4, 3, 1)


def test_tag_value_reads_as_json_does() -> None:
    text = (
        "# a comment\nSPDXVersion: SPDX-2.3\nDocumentNamespace: https://x\nCreated: 2026-11-01T00:00:00Z\n"
        "DocumentComment: <text>several\nlines: of text\n</text>\n\nPackageName: a\nSPDXID: SPDXRef-a\n"
        "PackageVersion: 1\nPackageLicenseDeclared: LicenseRef-1\nExternalRef: PACKAGE-MANAGER purl pkg:pypi/a@1\n"
        "ExternalRef: SECURITY advisory https://x/CVE-1\nFileName: ./f\nPackageLicenseDeclared: MIT\n"
        "LicenseID: LicenseRef-1\nLicenseName: Server Side Public License\n"
    )
    reading = outcome(text)
    assert isinstance(reading, Reading)
    assert (reading.claims["components"], reading.claims["denied"], reading.claims["unknown"]) == (1, 1, 1)
    assert "pkg:pypi/a@1" in reading.names["components"]
    assert reading.findings[0].rule == "CVE-1"
    assert reading.produced_at is not None


@pytest.mark.parametrize("tail", ["no tag here\n", "PackageComment: <text>never\nends\n"])
def test_broken_tag_value_is_malformed(tail: str) -> None:
    assert code(f"SPDXVersion: SPDX-2.3\n{tail}") == "EV_MALFORMED"


def test_spdx_without_a_package_is_empty_and_version_three_unsupported() -> None:
    assert code(spdx()) == "EV_EMPTY"
    assert code({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}) == "EV_UNSUPPORTED"


def test_a_false_positive_may_be_justified_in_its_detail_and_not_affected_may_not() -> None:
    def still_open(state: str) -> float:
        analysis: Json = {"state": state, "detail": "The parser is compiled out."}
        return claims(cyclonedx(vulnerabilities=[{"id": "CVE-1", "analysis": analysis}]), "vex")["unknown"]

    assert (still_open("false_positive"), still_open("not_affected")) == (0, 1)


def test_an_element_of_xml_that_is_no_licence_is_none() -> None:
    xml = (
        '<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components><component><name>a</name>'
        "<licenses><other>MIT</other></licenses></component></components></bom>"
    )
    assert claims(xml)["unknown_licence"] == 1
