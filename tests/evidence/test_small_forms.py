"""The small tools readers share: typed JSON, CSV rows, own YAML, times, and content of the wrong form."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pilotage.evidence import csv_rows as csv_form
from pilotage.evidence.csv_rows import csv_rows, has_columns, header_of
from pilotage.evidence.json_values import as_list, as_map, as_number, as_text, at, maps_in, number_in
from pilotage.evidence.load_samples import host_of
from pilotage.evidence.own_document import document_of, rows_of
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, ReadRefusal
from pilotage.evidence.source import BinaryContent, Content, JsonContent, Source, TextContent, Unreadable
from pilotage.evidence.times import earliest, file_time, from_epoch_ms


def source(content: Content) -> Source:
    return Source(data=b"", name="file", kind="uat", content=content)


def test_json_of_another_type_is_nothing_and_never_a_number() -> None:
    assert as_map([1]) == {}
    assert as_list("text") == ()
    assert as_text(7) == ""
    assert as_number(True) is None
    assert as_number("7") is None
    assert as_number(10**400) is None
    assert number_in(None) is None
    assert number_in("nan") is None
    assert number_in("x") is None
    assert number_in(" 7 ") == 7
    assert list(maps_in([{}, 1, {"a": 2}])) == [{}, {"a": 2}]
    assert at({"a": {"b": 3}}, "a", "b") == 3
    assert at({"a": 1}, "a", "b") is None


def test_content_of_another_form_is_a_mismatch() -> None:
    binary = source(BinaryContent(media="application/pdf"))
    for look in (lambda: binary.root, lambda: binary.json, lambda: binary.text):
        with pytest.raises(Unreadable) as refused:
            look()
        assert refused.value.reason.code == "EV_KIND_MISMATCH"


def test_a_table_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_form, "MAX_ELEMENTS", 3)
    assert len(list(csv_rows(source(TextContent(value="a\n1\n2\n"))))) == 2
    with pytest.raises(Unreadable, match="too many rows"):
        list(csv_rows(source(TextContent(value="a\n1\n2\n3\n"))))


def test_the_header_of_what_is_no_csv_is_empty() -> None:
    assert header_of(JsonContent(value=1)) == ()
    assert header_of(TextContent(value="a\rb,c\n1,2")) == ()
    assert header_of(TextContent(value="x" * 9_000 + "\n1")) == ("x" * 9_000,)
    assert has_columns(TextContent(value=" A , b\n"), "a", "b")


def test_empty_lines_are_left_out_and_short_rows_filled() -> None:
    rows = list(csv_rows(source(TextContent(value="a,b\n1,2\n\n3\n"))))
    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]


def test_rows_in_yaml_are_texts_whatever_they_were() -> None:
    text = "scenarios:\n  - {A: 1, b: true, c: false, d: null, e: x}\n"
    assert list(rows_of(source(TextContent(value=text)), "scenarios")) == [
        {"a": "1", "b": "true", "c": "false", "d": "", "e": "x"}
    ]


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", "# nothing\n"])
def test_yaml_that_is_no_mapping_is_malformed(text: str) -> None:
    with pytest.raises(Unreadable) as refused:
        document_of(source(TextContent(value=text)))
    assert refused.value.reason.code == "EV_MALFORMED"


def test_times_of_every_form_are_utc_and_what_is_none_is_absent() -> None:
    assert file_time("2026-11-02T10:00:00") == datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert file_time("2026-11-02T10:00:00+02:00") == datetime(2026, 11, 2, 8, tzinfo=UTC)
    assert file_time("Mon, 02 Nov 2026 09:00:00 GMT") == datetime(2026, 11, 2, 9, tzinfo=UTC)
    for text in (None, "", "soon", "9" * 65, "0001-01-01T00:00:00+14:00"):
        assert file_time(text) is None
    assert from_epoch_ms(1_000) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    for value in (None, 0, -1, 1e30):
        assert from_epoch_ms(value) is None
    assert earliest([None]) is None


def test_hosts_come_from_web_addresses_only() -> None:
    assert host_of("HTTPS://A.Example:8443/x") == "a.example"
    assert host_of("file:///etc/passwd") == ""
    assert host_of("http://[broken") == ""


def test_a_port_that_recurses_without_end_is_refused() -> None:
    def deep(_data: bytes, _media: str) -> str:
        raise RecursionError

    result = read_evidence(b"%PDF-1.7", kind="document.runbook", name="f", context=ReadContext(), text_of=deep)
    assert isinstance(result, ReadRefusal)
    assert result.reason.code == "EV_TOO_LARGE"


def test_a_metric_of_a_model_card_may_be_a_number_alone() -> None:
    card = {
        "model_details": {"owners": [{"name": "a"}], "version": {"name": "1"}},
        "considerations": {"use_cases": ["u"], "limitations": ["l"]},
        "quantitative_analysis": {"performance_metrics": [{"value": 0.9}]},
    }
    result = read_evidence(json.dumps(card).encode(), kind="document.model-card", name="f", context=ReadContext())
    assert not isinstance(result, ReadRefusal)
    assert (result.claims["complete"], result.claims["valid_days"]) == (1, 180)
