"""Files in forms: taken byte for byte where they are taken, refused with the reason everywhere else."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank
from tests.control.gate_world import junit

from pilotage.console.incoming import MAX_FORM_BYTES
from pilotage.console.multipart import boundary_of, read_parts
from pilotage.console.site import TABLE
from pilotage.control.evidence_reports import list_evidence
from pilotage.core.digest import digest_of
from pilotage.evidence.limits import MAX_BYTES
from pilotage.serving.uploads import IN_MEMORY, Uploads

pytestmark = pytest.mark.store
BOUNDARY = "----WebKitFormBoundaryx7"


def written(fields: dict[str, str], file: tuple[str, bytes] | None = None) -> bytes:
    """Return a form as browsers write it."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if file is not None:
        name = file[0].replace('"', "%22")
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/xml\r\n\r\n'
        parts.append(head.encode() + file[1])
    whole = b"".join(b"--" + BOUNDARY.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return whole + b"--" + BOUNDARY.encode() + b"--\r\n"


def sent(browser: Browser, path: str, fields: dict[str, str], file: tuple[str, bytes] | None = None) -> Answer:
    media = f"multipart/form-data; boundary={BOUNDARY}"
    headers = {"content-type": media, "origin": browser.origin or ""}
    return browser.send("POST", path, headers=headers, body=written(fields, file))


def brought(bank: Bank, name: str, file: tuple[str, bytes] | None, **typed: str) -> tuple[Answer, Browser]:
    """Bring a file to the bank's release, as the form on its page does."""
    bank.clock.advance(timedelta(minutes=1))
    browser, page = bank.browser(name), f"/releases/{bank.release.removeprefix('sha256:')[:12]}"
    fields = browser.get(page).fields(f"{page}/evidence")
    return sent(browser, f"{page}/evidence", fields | typed, file), browser


@given(data=st.binary(max_size=300), name=st.text(st.characters(codec="utf-8", exclude_characters='"/\\\r\n%')))
def test_a_file_arrives_byte_for_byte_under_its_own_name(data: bytes, name: str) -> None:
    parts = read_parts(written({"kind": "tests.unit"}, (name, data)), BOUNDARY.encode(), most=5)
    assert [(one.name, one.filename, one.data) for one in parts] == [
        ("kind", None, b"tests.unit"),
        ("file", name, data),
    ]


@given(cut=st.integers(min_value=0, max_value=len(written({"a": "1"}, ("f", b"x"))) - 5))
def test_a_form_cut_short_is_no_form(cut: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_parts(written({"a": "1"}, ("f", b"x"))[:cut], BOUNDARY.encode(), most=5)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain",
        b'Content-Disposition: attachment; name="a"',
        b'Content-Disposition: form-data; filename="a"',
        b'Content-Disposition: form-data; name="\xff"',
        b"x" * 9_000 + b'\r\nContent-Disposition: form-data; name="a"',
    ],
    ids=["no disposition", "not a form", "no name", "no text", "a head too long"],
)
def test_a_field_no_browser_writes_is_not_guessed(head: bytes) -> None:
    body = b"--b\r\n" + head + b"\r\n\r\nvalue\r\n--b--\r\n"
    with pytest.raises(ValueError, match=r"."):
        read_parts(body, b"b", most=5)


def test_more_fields_than_a_form_has_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        read_parts(written({f"n{number}": "" for number in range(6)}), BOUNDARY.encode(), most=5)


@pytest.mark.parametrize("said", ["text/plain", "multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"])
def test_other_content_is_no_form_with_files(said: str) -> None:
    assert boundary_of(said) is None


def test_the_name_of_a_file_is_what_follows_its_last_slash() -> None:
    (part,) = read_parts(written({}, ("C:\\fakepath\\..\\a%22b.xml", b"")), BOUNDARY.encode(), most=5)
    assert part.filename == 'a"b.xml'


def test_a_report_becomes_evidence_claimed_by_whoever_brings_it(bank: Bank) -> None:
    answer, browser = brought(bank, "maria.chen", ("unit.xml", junit()), kind="tests.unit")
    assert answer.status == 303, answer.words
    page = browser.get(answer.header("location").partition("#")[0])
    assert "Taken as tests.unit" in page.words
    newest = list_evidence(bank.instance, bank.release)[0]
    assert (newest["kind"], newest["trust"], newest["producer"]) == ("tests.unit", "claimed", "maria.chen")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (("empty.xml", b""), "EV_"),
        (("note.txt", b"All tests passed, I promise."), "EV_"),
        (("bomb.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><testsuite>&b;</testsuite>'), "EV_"),
        (('<img src=x onerror=alert(1)>"', b"\x00\x01\x02"), "EV_"),
    ],
    ids=["empty", "wrong", "hostile", "hostile name"],
)
def test_a_file_that_proves_nothing_is_kept_as_rejected_with_the_reason(
    bank: Bank, file: tuple[str, bytes], code: str
) -> None:
    answer, browser = brought(bank, "maria.chen", file, kind="tests.unit")
    assert answer.status == 303, answer.words
    page = browser.get(answer.header("location").partition("#")[0])
    assert "Refused, and kept as rejected" in page.words
    assert code in page.words
    assert "<img" not in page.text
    assert list_evidence(bank.instance, bank.release)[0]["state"] == "rejected"


def test_a_form_without_a_file_says_so_and_keeps_what_was_typed(bank: Bank) -> None:
    answer, _browser = brought(bank, "maria.chen", None, kind="tests.unit", suite="east")
    assert answer.status == 422
    assert "Choose the file to bring." in answer.words
    assert 'value="east"' in answer.text


def test_a_file_sent_twice_is_evidence_once(bank: Bank) -> None:
    browser, page = bank.browser("maria.chen"), f"/releases/{bank.release.removeprefix('sha256:')[:12]}"
    fields = browser.get(page).fields(f"{page}/evidence") | {"kind": "tests.regression"}
    answers = [sent(browser, f"{page}/evidence", fields, ("r.xml", junit(passed=7))) for _ in range(2)]
    assert len({answer.header("location") for answer in answers}) == 1
    found = list_evidence(bank.instance, bank.release)
    assert sum(one["kind"] == "tests.regression" for one in found) == 1


def test_another_file_in_a_form_sent_before_is_not_answered_with_the_first(bank: Bank) -> None:
    browser, page = bank.browser("maria.chen"), f"/releases/{bank.release.removeprefix('sha256:')[:12]}"
    fields = browser.get(page).fields(f"{page}/evidence") | {"kind": "tests.functional"}
    assert sent(browser, f"{page}/evidence", fields, ("f.xml", junit(passed=11))).status == 303
    other = sent(browser, f"{page}/evidence", fields, ("f.xml", junit(passed=12)))
    assert other.status == 422
    assert "what it says now was not recorded" in other.words
    fresh = other.fields(f"{page}/evidence") | {"kind": "tests.functional"}
    assert sent(browser, f"{page}/evidence", fresh, ("f.xml", junit(passed=12))).status == 303
    assert sum(one["kind"] == "tests.functional" for one in list_evidence(bank.instance, bank.release)) == 2


def test_a_file_whose_name_holds_control_characters_is_judged_as_any_other(bank: Bank) -> None:
    answer, browser = brought(bank, "maria.chen", ("a\x00\x1b[31mb.xml", b"Nothing."), kind="tests.unit")
    assert answer.status == 303
    page = browser.get(answer.header("location").partition("#")[0])
    assert "Refused, and kept as rejected" in page.words
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


def test_who_may_bring_nothing_sees_why_and_is_refused(bank: Bank) -> None:
    before = len(list_evidence(bank.instance, bank.release))
    answer, browser = brought(bank, "anita.rao", ("unit.xml", junit()), kind="tests.unit")
    assert answer.status == 403
    assert "NOT_PERMITTED" in answer.words
    page = browser.get(f"/releases/{bank.release.removeprefix('sha256:')[:12]}").page
    assert page.css_first("#bring button[aria-disabled=true]") is not None
    assert len(list_evidence(bank.instance, bank.release)) == before


def test_files_are_taken_at_one_address_and_from_who_is_signed_in(bank: Bank) -> None:
    assert [one.path for one in TABLE.entries if one.takes_files] == ["/releases/{digest}/evidence"]
    path = f"/releases/{bank.release.removeprefix('sha256:')[:12]}/evidence"
    large = ("large.xml", b"x" * (MAX_FORM_BYTES + 1))
    for browser, where in ((bank.browser(), path), (bank.browser("maria.chen"), "/cab")):
        answer = sent(browser, where, {"token": "", "key": ""}, large)
        assert answer.status == 413
        assert "Nothing was recorded." in answer.words


def test_a_file_larger_than_evidence_is_refused_with_its_limit(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.console.app.MAX_FILE_BYTES", 1_000)
    most = MAX_FORM_BYTES + 1_000
    answer, _browser = brought(bank, "maria.chen", ("large.xml", b"x" * (most + 1)), kind="tests.unit")
    assert answer.status == 413
    assert f"{most:,} bytes" in answer.words
    assert MAX_BYTES == 64 * 1024 * 1024


def unread(browser: Browser, path: str, *first: bytes, **headers: str) -> Answer:
    """Send the beginning of a form with a file; reading on fails the test."""
    given = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "origin": browser.origin or "", **headers}
    return browser.send("POST", path, headers=given, body=first)


def test_who_may_bring_nothing_is_told_so_before_the_file_is_read(bank: Bank) -> None:
    path = f"/releases/{bank.release.removeprefix('sha256:')[:12]}/evidence"
    answer = unread(bank.browser("anita.rao"), path)
    assert answer.status == 403
    assert "NOT_PERMITTED" in answer.words
    assert "Nothing was recorded." in answer.words


def test_a_file_that_a_foreign_page_sends_is_refused_before_it_is_read(bank: Bank) -> None:
    path = f"/releases/{bank.release.removeprefix('sha256:')[:12]}/evidence"
    answer = unread(bank.browser("maria.chen"), path, origin="https://evil.example")
    assert answer.status == 403
    assert "FOREIGN_ORIGIN" in answer.words


def test_a_large_form_proves_its_page_in_its_first_fields_before_more_is_read(bank: Bank) -> None:
    browser, page = bank.browser("maria.chen"), f"/releases/{bank.release.removeprefix('sha256:')[:12]}"
    token = bank.browser("omar.haddad").get("/help").fields("/logout")["token"]
    for fields in ({}, {"token": "none"}, {"token": token}):
        first = written(fields, ("large.xml", b"x" * (IN_MEMORY + 1)))
        answer = unread(browser, f"{page}/evidence", first)
        assert answer.status == 403
        assert "FORM_TOKEN" in answer.words
    assert "FIELDS_UNREADABLE" in unread(browser, f"{page}/evidence", b"x" * (IN_MEMORY + 1)).words


def test_a_large_file_is_kept_byte_for_byte(bank: Bank) -> None:
    data = bytes(range(256)) * (3 * IN_MEMORY // 256) + b"end"
    answer, _browser = brought(bank, "maria.chen", ("large.bin", data), kind="tests.unit")
    assert answer.status == 303, answer.words
    newest = list_evidence(bank.instance, bank.release)[0]
    assert newest["sha256"] == digest_of(data)


def test_a_form_with_a_large_file_is_shown_again_with_what_was_typed(bank: Bank) -> None:
    file = ("large.bin", b"x" * (2 * IN_MEMORY))
    answer, browser = brought(bank, "maria.chen", file, kind="tests.unit", suite="west", space="nowhere")
    assert answer.status == 404
    assert "SPACE_UNKNOWN" in answer.words
    assert browser.get("/workflows").status == 200


def test_more_uploads_than_are_taken_at_a_time_are_refused_and_smaller_forms_are_not(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank.console, "_uploads", Uploads(at_once=0))
    answer, _browser = brought(bank, "maria.chen", ("large.bin", b"x" * (IN_MEMORY + 1)), kind="tests.unit")
    assert answer.status == 503
    assert "UPLOADS_BUSY" in answer.words
    assert "Nothing was recorded." in answer.words
    answer, _browser = brought(bank, "maria.chen", ("unit.xml", junit(passed=21)), kind="tests.unit")
    assert answer.status == 303


def test_the_page_of_a_form_is_one_click_from_its_address(bank: Bank) -> None:
    page = f"/releases/{quote(bank.release.removeprefix('sha256:')[:12])}"
    answer = bank.browser("maria.chen").get(f"{page}/evidence")
    assert answer.status == 405
    assert answer.page.css_first(f'main a[href="{page}"]') is not None
