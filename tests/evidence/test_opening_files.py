"""What may be opened at all: every trap and limit of gates.md 2.2 ends in its EV_ code."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import pytest

from pilotage.evidence import limits, xml_tree
from pilotage.evidence.opening import PDF, WORD, decode, open_bytes
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.source import BinaryContent, JsonContent, TextContent, Unreadable, XmlContent
from pilotage.evidence.xml_tree import local

JUNIT = '<testsuite tests="1"><testcase classname="a" name="b"/></testsuite>'
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10))
    + "]><testsuite><testcase name='&lol9;'/></testsuite>"
)
XXE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="a">&x;</testcase></testsuite>'
PARAMETER = '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]><testsuite/>'


def archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as packed:
            packed.writestr("junit.xml", JUNIT)
    elif kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as tape:
            info = tarfile.TarInfo("junit.xml")
            info.size = len(JUNIT)
            tape.addfile(info, io.BytesIO(JUNIT.encode()))
    else:
        buffer.write(gzip.compress(JUNIT.encode(), mtime=0))
    return buffer.getvalue()


def code(data: bytes, kind: str | None = "tests.unit") -> str:
    result = read_evidence(data, kind=kind, name="file", context=ReadContext())
    assert isinstance(result, ReadRefusal), result
    assert result.reason.where == "file"
    return result.reason.code


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "EV_EMPTY"),
        (b" \n\t ", "EV_EMPTY"),
        (b"\xef\xbb\xbf  ", "EV_EMPTY"),
        (archive("zip"), "EV_ARCHIVE"),
        (archive("tar"), "EV_ARCHIVE"),
        (archive("gzip"), "EV_ARCHIVE"),
        (LAUGHS.encode(), "EV_XML_ENTITY"),
        (XXE.encode(), "EV_XML_ENTITY"),
        (PARAMETER.encode(), "EV_XML_ENTITY"),
        (
            b"<!DOCTYPE testsuite [<!ATTLIST testcase name CDATA 'x'>]><testsuite><testcase/></testsuite>",
            "EV_XML_ENTITY",
        ),
        (b"<!DOCTYPE testsuite []><testsuite><testcase/></testsuite>", "EV_XML_ENTITY"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><testsuite>&other;</testsuite>', "EV_XML_ENTITY"),
        (JUNIT.encode()[:-20], "EV_MALFORMED"),
        (b"<testsuite>\xff</testsuite>", "EV_MALFORMED"),
        (b"<testsuite>\x00</testsuite>", "EV_MALFORMED"),
        (b"<a:testsuite/>", "EV_MALFORMED"),
        (b"<!-- nothing -->", "EV_MALFORMED"),
        (b'{"a": 1, "a": 2}', "EV_NOT_JSON"),
        (b'{"a": NaN}', "EV_NOT_JSON"),
        (b'{"a": -Infinity}', "EV_NOT_JSON"),
        (b'{"a": 1e999}', "EV_NOT_JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "EV_NOT_JSON"),
        (b'{"a": [1, 2', "EV_MALFORMED"),
        (b"[" * 200 + b"]" * 200, "EV_TOO_LARGE"),
        (b"[" * 100_000, "EV_TOO_LARGE"),
        (b"<a>" * 101 + b"</a>" * 101, "EV_TOO_LARGE"),
        (b"plain words", "EV_KIND_MISMATCH"),
        (b"<something/>", "EV_KIND_MISMATCH"),
    ],
)
def test_a_file_that_may_not_be_read_is_refused_with_its_code(data: bytes, expected: str) -> None:
    assert code(data) == expected


def test_a_file_of_65_mib_is_refused_by_its_size_alone() -> None:
    assert code(b"<" * (65 * 1024 * 1024)) == "EV_TOO_LARGE"


def test_one_value_of_more_than_a_mib_is_refused() -> None:
    long = "x" * (limits.MAX_VALUE + 1)
    assert code(json.dumps({"a": long}).encode()) == "EV_TOO_LARGE"
    assert code(f"<testsuite><system-out>{long}</system-out></testsuite>".encode()) == "EV_TOO_LARGE"
    assert code(f"<testsuite name='{long}'/>".encode()) == "EV_TOO_LARGE"


def test_more_than_two_million_elements_are_refused() -> None:
    assert code(b"[" + b"0," * limits.MAX_ELEMENTS + b"0]") == "EV_TOO_LARGE"
    assert code(b"<testsuite>" + b"<a/>" * limits.MAX_ELEMENTS + b"</testsuite>") == "EV_TOO_LARGE"


def test_separators_inside_texts_are_no_elements() -> None:
    text = ("," * (limits.MAX_VALUE // 2),) * 4
    assert open_bytes(json.dumps(text).encode()) == JsonContent(value=list(text))


@pytest.mark.parametrize(
    ("text", "off", "told"),
    [
        (LAUGHS, ("_doctype",), "declares the entity 'lol'"),
        (XXE, ("_doctype",), "declares the entity 'x'"),
        (XXE, ("_doctype", "_entity"), "refers to an external entity"),
    ],
)
def test_each_guard_against_entities_holds_without_the_ones_before_it(
    monkeypatch: pytest.MonkeyPatch, text: str, off: tuple[str, ...], told: str
) -> None:
    for name in off:
        monkeypatch.setattr(xml_tree._Builder, name, lambda *_: None)
    with pytest.raises(Unreadable, match=told):
        xml_tree.parse_xml_text(text)


@pytest.mark.parametrize("text", ["", "<!-- nothing -->", '<?xml version="1.0"?>'])
def test_xml_without_a_root_element_is_malformed(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        xml_tree.parse_xml_text(text)
    assert caught.value.reason.code == "EV_MALFORMED"


def test_a_document_type_with_an_external_id_is_allowed_and_never_fetched() -> None:
    content = open_bytes(b'<!DOCTYPE coverage SYSTEM "http://127.0.0.1:1/coverage-04.dtd"><coverage/>')
    assert isinstance(content, XmlContent)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_encodings_with_and_without_a_mark_give_the_same_reading(encoding: str) -> None:
    text = f'\n <?xml version="1.0" encoding="utf-16"?>{JUNIT}'.lstrip("\n ")
    if encoding.endswith("-bom"):
        data = ("\ufeff" + text).encode(encoding.removesuffix("-bom"))
    else:
        data = text.encode(encoding)
    result = read_evidence(data, kind="tests.unit", name="file", context=ReadContext())
    assert isinstance(result, Reading)
    assert result.claims["executed"] == 1


def test_white_space_before_the_declaration_is_allowed() -> None:
    result = read_evidence(
        f'\n\n  <?xml version="1.0"?>{JUNIT}'.encode(), kind="tests.e2e", name="f", context=ReadContext()
    )
    assert isinstance(result, Reading)
    assert result.kind == "tests.e2e"


def test_broken_utf_16_names_the_byte() -> None:
    with pytest.raises(Unreadable, match="utf-16"):
        decode(b"\xff\xfea")


def test_names_in_a_namespace_keep_it_and_lose_it_on_request() -> None:
    content = open_bytes(b'<a xmlns="urn:x" xmlns:y="urn:y" y:b="1">t<c/>u</a>')
    assert isinstance(content, XmlContent)
    assert content.root.tag == "{urn:x}a"
    assert content.root.get("{urn:y}b") == "1"
    assert local(content.root.tag) == "a"
    assert content.root.text == "tu"


def test_word_and_pdf_are_opened_for_documents_and_an_archive_otherwise() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("word/document.xml", "<w/>")
    assert open_bytes(buffer.getvalue(), kind="document.runbook") == BinaryContent(media=WORD)
    assert open_bytes(b"%PDF-1.7\n\x00", kind="document.runbook") == BinaryContent(media=PDF)
    with pytest.raises(Unreadable, match="zip"):
        open_bytes(buffer.getvalue(), kind="tests.unit")


def test_markdown_that_begins_like_xml_is_text_for_a_document() -> None:
    assert open_bytes(b"<br> hello", kind="document.runbook") == TextContent(value="<br> hello")
    assert open_bytes(b"null") == JsonContent(value=None)


def test_a_kind_that_does_not_exist_and_one_that_does_not_fit_are_refused() -> None:
    assert code(JUNIT.encode(), "tests.wishful") == "EV_KIND_MISMATCH"
    assert code(JUNIT.encode(), "coverage") == "EV_KIND_MISMATCH"
    assert code(JUNIT.encode(), "fact.drift") == "EV_KIND_MISMATCH"


def test_a_format_that_can_be_several_kinds_asks_which() -> None:
    result = read_evidence(JUNIT.encode(), kind=None, name="file", context=ReadContext())
    assert isinstance(result, ReadRefusal)
    assert "Name its kind: --kind " in result.reason.text


def test_the_kind_is_detected_where_content_tells() -> None:
    report = b"TN:\nSF:src/a.py\nDA:1,1\nend_of_record\n"
    result = read_evidence(report, kind=None, name="file", context=ReadContext())
    assert isinstance(result, Reading)
    assert result.kind == "coverage"
