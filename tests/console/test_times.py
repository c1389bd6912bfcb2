"""Times are told in the zone a person chose, with UTC in the title; a live fragment is made once for all zones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape
from sqlalchemy import text
from tests.console.browser import Answer
from tests.console.conftest import Bank

from pilotage.console.times import day_of, in_zone, moment, plain_utc
from pilotage.control.change_profile import Profile, change_profile, view_profile
from pilotage.core.errors import UsageError
from pilotage.core.ids import PrincipalId
from pilotage.core.reason import Refusal
from pilotage.core.zones import is_said_twice, zone_named, zone_names
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.store.person_settings import Settings, keep_settings

ZURICH, NEW_YORK, KATHMANDU = ZoneInfo("Europe/Zurich"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def said(html: str) -> str:
    return html.partition(">")[2].removesuffix("</time>")


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2026-01-15T12:00", ZURICH, "15 Jan 2026, 13:00"),
        ("2026-07-15T12:00", ZURICH, "15 Jul 2026, 14:00"),
        ("2026-12-31T23:30", ZURICH, "1 Jan 2027, 00:30"),
        ("2026-03-29T00:59", ZURICH, "29 Mar 2026, 01:59"),
        ("2026-03-29T01:00", ZURICH, "29 Mar 2026, 03:00"),
        ("2026-10-25T00:30", ZURICH, "25 Oct 2026, 02:30 (UTC+02:00)"),
        ("2026-10-25T01:30", ZURICH, "25 Oct 2026, 02:30 (UTC+01:00)"),
        ("2026-10-25T02:00", ZURICH, "25 Oct 2026, 03:00"),
        ("2026-03-20T12:00", NEW_YORK, "20 Mar 2026, 08:00"),
        ("2026-01-15T12:00", KATHMANDU, "15 Jan 2026, 17:45"),
        ("2026-01-15T12:00", ZoneInfo("UTC"), "15 Jan 2026, 12:00"),
    ],
)
def test_a_time_is_what_the_clocks_of_the_zone_show(at: str, zone: ZoneInfo, expected: str) -> None:
    html = in_zone(str(moment(utc(at))), zone)
    assert said(html) == expected
    assert f'title="{at.replace("T", " ")}:00 UTC"' in html
    assert f'datetime="{at}:00+00:00"' in html


def test_a_day_is_the_day_of_the_zone() -> None:
    html = str(day_of(utc("2026-03-02T23:30")))
    assert [said(in_zone(html, zone)) for zone in (ZURICH, NEW_YORK)] == ["3 Mar 2026", "2 Mar 2026"]


def test_papers_say_utc_to_everybody() -> None:
    html = str(plain_utc(utc("2026-07-15T12:00")))
    assert in_zone(html, ZURICH) == html
    assert said(html) == "15 Jul 2026, 12:00 UTC"


def test_what_a_person_wrote_is_never_taken_for_a_time() -> None:
    written = str(escape(str(moment(utc("2026-07-15T12:00")))))
    assert in_zone(f"<p>{written}</p>", ZURICH) == f"<p>{written}</p>"


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_moment_can_be_read_back_from_what_is_shown(at: datetime) -> None:
    shown = said(in_zone(str(moment(at)), ZURICH))
    words, _, offset = shown.partition(" (UTC")
    local = datetime.strptime(words, "%d %b %Y, %H:%M").replace(tzinfo=ZURICH)
    assert is_said_twice(local) is bool(offset)
    fold = int(bool(offset) and local.replace(fold=1).isoformat()[-6:] == offset.removesuffix(")"))
    assert local.replace(fold=fold).astimezone(UTC) == at.replace(second=0, microsecond=0)


def test_names_of_the_machine_are_no_zones() -> None:
    assert zone_named("localtime") is None
    assert zone_named("../etc/passwd") is None
    assert {"UTC", "Europe/Zurich", "US/Eastern"} <= zone_names()


@pytest.fixture
def chosen(bank: Bank) -> Iterator[None]:
    """Nobody has chosen anything before, and nobody has afterwards."""
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM person_setting"))
    yield
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM person_setting"))


def choose(bank: Bank, name: str, zone: str) -> None:
    done = change_profile(bank.instance, actor=bank.person(name), zone=zone)
    assert isinstance(done, Profile)


def sealed_at(answer: Answer) -> str:
    head = answer.page.css_first("main .head time")
    assert head is not None
    return head.text()


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_a_person_chooses_a_zone_by_the_form_and_every_page_follows(bank: Bank) -> None:
    browser = bank.browser("luis.ortega")
    page = browser.get("/profile")
    assert f"The workspace's: {bank.instance.workspace.timezone}" in page.words
    fields = page.fields("/profile") | {"zone": "Asia/Kathmandu"}
    assert browser.post("/profile", fields).header("location") == "/profile"
    release = f"/releases/{bank.release.removeprefix('sha256:')[:12]}"
    answer = browser.get(release)
    assert "times in Asia/Kathmandu" in answer.page.css_first("footer").text()  # type: ignore[union-attr]
    times = answer.page.css("main time[title]")
    assert len(times) > 3
    for one in times:
        at = datetime.fromisoformat(one.attributes["datetime"] or "").astimezone(KATHMANDU)
        assert one.text() == f"{at.day} {at:%b %Y, %H:%M}"
        assert (one.attributes["title"] or "").endswith(" UTC")
    other = bank.browser("maria.chen").get(release)
    assert f"times in {bank.instance.workspace.timezone}" in other.page.css_first("footer").text()  # type: ignore[union-attr]
    printed = browser.get(f"{release}?print=1")
    assert "times in UTC" in printed.page.css_first("main .stamp").text()  # type: ignore[union-attr]
    for one in printed.page.css("main time[title]"):
        at = datetime.fromisoformat(one.attributes["datetime"] or "")
        assert one.text() == f"{at.day} {at:%b %Y, %H:%M}"


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_minutes_stay_in_utc_whatever_the_reader_chose(bank: Bank) -> None:
    pack = bank.call_board()["pack"]
    choose(bank, "luis.ortega", "Asia/Kathmandu")
    answer = bank.browser("luis.ortega").get(f"/packs/{pack}")
    times = [one.text() for one in answer.page.css(".paper time")]
    assert times
    assert all(one.endswith(" UTC") for one in times)


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_viewers_in_two_zones_share_one_live_fragment(bank: Bank) -> None:
    rollout = bank.roll_out()
    choose(bank, "luis.ortega", "Asia/Kathmandu")
    choose(bank, "maria.chen", "America/New_York")
    seen = {}
    for name in ("luis.ortega", "maria.chen"):
        browser = bank.browser(name)
        page = browser.get(f"/rollouts/{rollout}").text
        (event,) = browser.stream(f"/live/rollouts/{rollout}", most=1)
        _, identifier, *lines = event.split("\n")
        body = "\n".join(line.removeprefix("data: ") for line in lines).rstrip("\n")
        assert body in page, "what is streamed is the region as this viewer's page shows it"
        seen[name] = (identifier, body)
    (one, ours), (two, theirs) = seen.values()
    assert one == two
    assert ours != theirs
    with bank.instance.engine.connect() as connection:
        stored = connection.execute(
            text("SELECT count(*) FROM live_event WHERE stream = :stream"), {"stream": f"rollout/{rollout}"}
        )
        assert stored.scalar_one() == 1


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_a_zone_nobody_knows_is_refused_with_what_is_near_and_the_form_is_kept(bank: Bank) -> None:
    browser = bank.browser("luis.ortega")
    fields = browser.get("/profile").fields("/profile") | {"zone": "Europe/Zürich", "shortcuts": "on"}
    answer = browser.post("/profile", fields)
    assert answer.status == 422
    assert "There is no time zone 'Europe/Zürich'. Near it: Europe/Zurich" in answer.words
    assert answer.page.css_first("input[name=shortcuts][checked]") is not None
    assert view_profile(bank.instance, actor=bank.person("luis.ortega")).chosen == Settings()
    with pytest.raises(UsageError, match="Nothing is to change"):
        change_profile(bank.instance, actor=bank.person("luis.ortega"))


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_what_is_left_out_stays_and_an_empty_zone_is_the_workspaces_again(bank: Bank) -> None:
    actor = bank.person("luis.ortega")
    choose(bank, "luis.ortega", "Asia/Kathmandu")
    done = change_profile(bank.instance, actor=actor, shortcuts=True)
    assert isinstance(done, Profile)
    assert done.as_json()["zone"] == "Asia/Kathmandu"
    change_profile(bank.instance, actor=actor, zone="")
    assert view_profile(bank.instance, actor=actor).chosen == Settings(zone=None, shortcuts=True)


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_the_ledger_says_that_a_profile_changed_and_not_how(bank: Bank) -> None:
    query = text("SELECT convert_from(bytes, 'UTF8') FROM ledger_entry WHERE kind = 'profile.changed' ORDER BY id")
    with bank.instance.engine.connect() as connection:
        before = len(connection.execute(query).all())
    choose(bank, "luis.ortega", "Asia/Kathmandu")
    choose(bank, "luis.ortega", "Asia/Kathmandu")  # the same again is no change
    with bank.instance.engine.connect() as connection:
        entries = connection.execute(query).scalars().all()
    assert len(entries) == before + 1
    assert '"changed":["zone"]' in entries[-1]
    assert not any("Kathmandu" in one or "luis" in one for one in entries)


@pytest.mark.parametrize(
    ("at", "zone"),
    [(datetime(1, 1, 1, tzinfo=UTC), "America/New_York"), (datetime(9999, 12, 31, 23, tzinfo=UTC), "Asia/Kathmandu")],
)
def test_a_time_at_the_edge_of_the_calendar_stays_in_utc(at: datetime, zone: str) -> None:
    assert " UTC</time>" in in_zone(str(moment(at)), ZoneInfo(zone))


@pytest.mark.store
def test_a_service_has_no_profile(bank: Bank) -> None:
    service = Principal(id=PrincipalId("key|ci"), kind=PrincipalKind.SERVICE, label="ci", via="ci")
    done = change_profile(bank.instance, actor=service, zone="UTC")
    assert isinstance(done, Refusal)
    assert done.reasons[0].code == "SOD_SERVICE"


@pytest.mark.store
@pytest.mark.usefixtures("chosen")
def test_a_zone_that_another_machine_knew_falls_back_to_the_workspaces(bank: Bank) -> None:
    with bank.instance.engine.begin() as connection:
        keep_settings(connection, bank.person("luis.ortega").id, Settings(zone="Mars/Olympus"))
    answer = bank.browser("luis.ortega").get("/workflows")
    assert answer.status == 200
    assert f"times in {bank.instance.workspace.timezone}" in answer.page.css_first("footer").text()  # type: ignore[union-attr]
