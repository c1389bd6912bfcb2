"""Permissions by path, foreign fields, dates, diffs, cadence and digests: the pure rules of a corpus."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import digest_of
from pilotage.core.located import Problems
from pilotage.core.yaml_source import load_yaml
from pilotage.corpus.acl import readers_by_rules, readers_of
from pilotage.corpus.cadence import CadenceProblem, longest_gap, next_due, parse_cadence, period
from pilotage.corpus.dates import Dated, conflicts, end_at, in_force, keep_history, overlap
from pilotage.corpus.diff import Held, acl_change, diff_revisions, word_diff
from pilotage.corpus.exclusions import excluded_after_parsing, excluded_before_parsing, pattern_problem
from pilotage.corpus.fields import FieldProblem, has_acl, map_row, mapping_problems, parse_region, row_acl
from pilotage.corpus.globs import glob_problem, matches
from pilotage.corpus.near_duplicates import _word_hashes, near_pairs, resemblance, signature_of
from pilotage.corpus.removal_guard import removal_guard
from pilotage.corpus.settings import AclRule, Classification, Exclusions
from pilotage.corpus.settings_file import parse_acl_rules
from pilotage.corpus.version import Committed, commitment, revision_hmac, version_bytes, version_digest

# --- globs and readers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.md", "a.md", True),
        ("*.md", "x/a.md", False),
        ("**/*.md", "a.md", True),
        ("**/*.md", "x/y/a.md", True),
        ("hr/**", "hr/x/y.pdf", True),
        ("hr/**", "hr2/x", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[b]c", "abc", False),
        ("a[b]c", "a[b]c", True),
        ("../**", "../x", False),
        ("*AAPL.pdf", "2022 Q3 AAPL.pdf", True),
    ],
)
def test_globs_stay_inside_folders(glob: str, path: str, fits: bool) -> None:
    assert matches(glob, path) is fits


@pytest.mark.parametrize(
    "glob", ["", "/etc/*", "../x", "a/../b", "./a", "a\\b", "C:/x", "a\nb", "x" * 1001, "hr/", "a//b"]
)
def test_a_glob_that_leaves_the_folder_is_a_problem_and_matches_nothing(glob: str) -> None:
    assert glob_problem(glob) is not None
    assert not matches(glob, glob)


def test_a_region_is_one_line_of_at_most_100_characters() -> None:
    assert parse_region(None) is parse_region(" ") is None
    assert parse_region(" us\neast ") == "us east"
    with pytest.raises(FieldProblem, match="longer than 100"):
        parse_region("x" * 101)


def test_a_rule_in_another_spelling_of_its_letters_still_closes_its_folder() -> None:
    problems = Problems()
    at = load_yaml(
        "'**': [group:everyone]\n'Gescha\u0308ft/**': [group:hr]\n".encode(), file="acl.yaml", problems=problems
    )
    assert at is not None
    rules = parse_acl_rules(at, problems)
    assert readers_by_rules("Gesch\u00e4ft/a.md", rules=rules, default=()).names == ("group:hr",)


def test_a_chain_of_wild_cards_is_not_slow() -> None:
    assert not matches("**/" * 200 + "x", "a/" * 200 + "y")


def rule(glob: str, *names: str) -> AclRule:
    return AclRule(glob=glob, names=names)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ([rule("**", "group:a"), rule("hr/**", "group:b")], ("group:b",)),
        ([rule("hr/*", "group:a", "group:b"), rule("hr/**", "group:b", "group:c")], ("group:b",)),
        ([rule("hr/*", "group:a"), rule("hr/**", "group:b")], ()),
        ([rule("hr/*", "group:a"), rule("hr/**", "everybody")], ()),
        ([rule("hr/x.md")], ()),
        ([rule("it/**", "group:a")], ()),
        ([], ()),
    ],
)
def test_the_most_specific_rule_wins_and_equal_ones_intersect(rules: list[AclRule], names: tuple[str, ...]) -> None:
    found = readers_by_rules("hr/x.md", rules=rules, default=())
    assert found.names == names
    assert bool(found.problem) is not bool(names)


def test_the_default_acl_is_for_what_no_rule_names() -> None:
    found = readers_by_rules("x", rules=[rule("y", "group:y")], default=("group:all", "group:all"))
    assert (found.names, found.source) == (("group:all",), "corpus.yaml acl")


@given(st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.lists(st.one_of(st.none(), st.text()))))
def test_readers_are_named_in_a_known_form_or_nobody_reads(names: object) -> None:
    found = readers_of(names, source="x")
    assert all(name.split(":")[0] in {"user", "group", "service"} for name in found.names)
    assert bool(found.names) != bool(found.problem)


# --- fields -----------------------------------------------------------------------------------------------------------


def test_foreign_rows_are_read_by_the_mapping() -> None:
    row: dict[str, Json] = {
        "part": 1003,
        "section": "1003-2",
        "heading": " A\nB ",
        "text": "x",
        "effective_date": "2016-01-01T00:00:00Z",
    }
    found = map_row(row, {"id": "{part}/{section}", "title": "heading"})
    assert (found.id, found.title, found.section, found.effective_from) == (
        "1003/1003-2",
        "A B",
        "1003-2",
        date(2016, 1, 1),
    )
    used_up = map_row(row, {"id": "section"})
    assert (used_up.id, used_up.section) == ("1003-2", "")
    assert row_acl({"acl": []}, {}) == []
    assert row_acl({"acl": None}, {}) is None
    assert has_acl({"acl": []}, {})
    assert has_acl({"acl": None}, {})
    assert not has_acl({}, {})
    assert row_acl({"readers": ["group:a"]}, {"acl": "readers"}) == ["group:a"]


@pytest.mark.feature("D8.6")
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "it has no id"),
        ({"id": None, "text": "x"}, "it has no id"),
        ({"id": " ", "text": "x"}, "it has no id"),
        ({"id": True, "text": "x"}, "it has no id"),
        ({"id": "i" * 513, "text": "x"}, "its id is longer"),
        ({"id": "a"}, "it has no text"),
        ({"id": "a", "text": None}, "it has no text"),
        ({"id": "a", "text": ["x"]}, "its text is not text"),
        ({"id": "a", "text": "x", "effective_date": "soon"}, "is no date"),
        ({"id": "a", "text": "x", "classification": "secret"}, "is none of public"),
        (
            {"id": "a", "text": "x", "effective_date": "2026-01-02", "expiry_date": "2026-01-02"},
            "not before its expiry",
        ),
    ],
)
def test_a_row_that_is_no_document_says_why(row: dict[str, object], reason: str) -> None:
    with pytest.raises(FieldProblem, match=reason):
        map_row(row, {})  # type: ignore[arg-type]


def test_a_template_with_a_missing_part_gives_no_id() -> None:
    with pytest.raises(FieldProblem, match="no id"):
        map_row({"part": "1", "section": None, "text": "x"}, {"id": "{part}/{section}"})


def test_mistakes_of_a_mapping_are_named() -> None:
    problems = mapping_problems(
        {"id": "{}", "text": "a}", "titel": "x", "uri": "", "title": "{a} {b}", "acl": "readers"}
    )
    assert set(problems) == {"id", "text", "titel", "uri"}
    assert map_row({"id": "a", "text": "x", "classification": " Restricted "}, {}).classification is (
        Classification.RESTRICTED
    )


NOW = datetime(2026, 3, 2, tzinfo=UTC)
RULES = Exclusions(
    globs=("drafts/**", "*.tmp"),
    titles=("(?i)^draft", "obsolete"),
    classifications=(Classification.RESTRICTED,),
    older_than_days=30,
)


@pytest.mark.parametrize(
    ("path", "age_days", "told"),
    [
        ("drafts/a.md", 0, "excluded by glob drafts/**"),
        ("b.tmp", 99, "excluded by glob *.tmp"),
        ("a.md", 31, "excluded by older_than 30d"),
        ("a.md", 30, None),
        ("a.md", None, None),
    ],
)
def test_path_and_age_exclude_before_parsing(path: str, age_days: int | None, told: str | None) -> None:
    modified = None if age_days is None else NOW - timedelta(days=age_days)
    assert excluded_before_parsing(RULES, path=path, modified=modified, now=NOW) == told
    assert excluded_before_parsing(Exclusions(), path=path, modified=modified, now=NOW) is None


@pytest.mark.parametrize(
    ("title", "label", "told"),
    [
        ("Draft of rates", Classification.PUBLIC, "excluded by title (?i)^draft"),
        ("An obsolete rate", Classification.PUBLIC, "excluded by title obsolete"),
        ("Rates", Classification.RESTRICTED, "excluded by classification restricted"),
        ("Rates", Classification.CONFIDENTIAL, None),
    ],
)
def test_title_and_classification_exclude_after_parsing(title: str, label: Classification, told: str | None) -> None:
    assert excluded_after_parsing(RULES, title=title, classification=label) == told
    assert excluded_after_parsing(Exclusions(), title=title, classification=label) is None


def test_classifications_stand_in_order() -> None:
    assert [one.rank for one in Classification] == [0, 1, 2, 3]


def test_patterns_are_re2() -> None:
    assert pattern_problem("(?i)^draft") is None
    assert pattern_problem("(a)(?=b)") is not None


# --- dates ------------------------------------------------------------------------------------------------------------

DAY = date(2026, 1, 1)


def dated(text: str, first: int | None, last: int | None = None, *, stored: bool = True) -> Dated:
    return Dated(
        key=first or 0,
        hash=digest_of(text.encode()),
        meta=digest_of(f"{text}{first}{last}".encode()),
        effective_from=None if first is None else DAY + timedelta(days=first),
        effective_to=None if last is None else DAY + timedelta(days=last),
        stored=stored,
    )


def shown(line: tuple[Dated, ...], day: int) -> set[str]:
    on = DAY + timedelta(days=day)
    return {one.hash for one in line if in_force(one.effective_from, one.effective_to, on)}


def test_validity_is_half_open() -> None:
    assert in_force(DAY, DAY + timedelta(days=1), DAY)
    assert not in_force(DAY, DAY + timedelta(days=1), DAY + timedelta(days=1))
    assert in_force(None, None, DAY)
    assert overlap((None, None), (DAY, None))
    assert not overlap((None, DAY), (DAY, None))


def test_a_later_revision_ends_the_earlier_and_an_earlier_one_is_put_in_its_place() -> None:
    line = keep_history([dated("a", 0)], [dated("b", 10)])
    assert [(one.effective_to, one.stored) for one in line] == [(DAY + timedelta(days=10), False), (None, True)]
    line = keep_history(line, [dated("c", 5)])
    assert [shown(line, day) for day in (0, 5, 10)] == [{digest_of(text)} for text in (b"a", b"c", b"b")]


def test_an_equal_text_with_a_later_date_changes_nothing() -> None:
    before = (dated("a", 0),)
    assert keep_history(before, [dated("a", 9)]) == before
    ended = (dated("a", 0, 5),)
    assert len(keep_history(ended, [dated("a", 9)])) == 2


def test_a_changed_text_with_the_same_date_replaces_and_is_a_conflict() -> None:
    line = keep_history([dated("a", 0), dated("b", 3)], [dated("c", 3)])
    assert [one.hash for one in line] == [digest_of(b"a"), digest_of(b"c")]
    assert conflicts([dated("b", 3)], [dated("c", 3)])
    assert not conflicts([dated("b", 3)], [dated("b", 3), dated("c", 4), dated("d", None)])
    assert not conflicts([dated("b", None)], [dated("c", None)])
    same = (dated("a", 0),)
    assert keep_history(same, same) == same


def test_a_document_gone_from_a_consolidated_text_ends_that_day() -> None:
    line = end_at([dated("a", 0, 3), dated("b", 3), dated("c", 9)], DAY + timedelta(days=5))
    assert [one.effective_to for one in line] == [DAY + timedelta(days=3), DAY + timedelta(days=5)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8))
def test_one_revision_at_most_is_in_force_on_any_day(refreshes: list[tuple[str, int]]) -> None:
    line: tuple[Dated, ...] = ()
    for text, first in refreshes:
        line = keep_history(line, [dated(text, first)])
    assert all(len([one for one in line if _is_on(one, day)]) <= 1 for day in range(12))


def _is_on(one: Dated, day: int) -> bool:
    return in_force(one.effective_from, one.effective_to, DAY + timedelta(days=day))


# --- diff -------------------------------------------------------------------------------------------------------------


def test_differences_are_grouped_by_document() -> None:
    def held(document: str, text: str, meta: str = "m") -> Held:
        return Held(document=document, hash=text, meta_hash=meta)

    diff = diff_revisions(
        [held("changed", "1"), held("gone", "1"), held("meta", "1"), held("partly", "1")],
        [held("changed", "2"), held("new", "1"), held("meta", "1", "n"), held("more", "2")],
        staying={"partly", "more"},
    )
    assert (diff.added, diff.removed, diff.metadata) == (("new",), ("gone",), ("meta",))
    assert diff.changed == ("changed", "more", "partly")
    assert not diff.is_empty
    assert diff_revisions([], [], staying=()).is_empty
    assert diff.as_json()["acl"] == {}


def test_acl_changes_name_who_came_and_went() -> None:
    change = acl_change(["a", "b"], ["b", "c"])
    assert change is not None
    assert change.as_json() == {"added": ["c"], "removed": ["a"]}
    assert acl_change(["a"], ["a"]) is None


def test_words_are_compared_by_section() -> None:
    found = word_diff(
        {"A": "the limit is 500 dollars", "B": "same"}, {"A": "the limit is 900 dollars", "B": "same", "C": "new"}
    )
    assert [(one.section, one.words) for one in found] == [
        ("A", (("=", "the limit is"), ("-", "500"), ("+", "900"), ("=", "dollars"))),
        ("C", (("+", "new"),)),
    ]


def test_two_unlike_books_are_compared_without_hanging() -> None:
    (found,) = word_diff({"": "a " * 9000}, {"": "b " * 9000})
    assert [op for op, _ in found.words] == ["-", "+"]


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_a_word_diff_holds_both_texts(old: list[str], new: list[str]) -> None:
    for section in word_diff({"": " ".join(old)}, {"": " ".join(new)}):
        words = [(op, word) for op, run in section.words for word in run.split()]
        assert [word for op, word in words if op != "+"] == old
        assert [word for op, word in words if op != "-"] == new


# --- cadence ----------------------------------------------------------------------------------------------------------

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("cadence", "last", "due"),
    [
        ("6h", "2026-03-02T09:00Z", "2026-03-02T15:00Z"),
        ("daily", "2026-03-02T09:00Z", "2026-03-03T09:00Z"),
        ("15 2 * * *", "2026-03-02T09:00Z", "2026-03-03T07:15Z"),
        ("*/20 9-17 * * mon-fri", "2026-03-06T22:45Z", "2026-03-09T13:00Z"),
        ("0 0 1 jan *", "2026-03-02T09:00Z", "2027-01-01T05:00Z"),
        ("0 12 13 * 5", "2026-03-02T09:00Z", "2026-03-06T17:00Z"),
        ("0 12 29 2 *", "2026-03-02T09:00Z", "2028-02-29T17:00Z"),
        ("30 2 * * *", "2026-03-07T12:00Z", "2026-03-08T07:30Z"),
        ("5/20 0 * * 7", "2026-03-02T09:00Z", "2026-03-08T05:05Z"),
    ],
)
def test_the_next_run_is_due_in_the_organisation_s_time_zone(cadence: str, last: str, due: str) -> None:
    found = next_due(parse_cadence(cadence), last=datetime.fromisoformat(last), zone=NEW_YORK)
    assert found == datetime.fromisoformat(due)


def test_a_missed_run_is_due_once() -> None:
    hourly = parse_cadence("1h")
    last, now = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)
    assert next_due(hourly, last=last, zone=NEW_YORK) < now < next_due(hourly, last=now, zone=NEW_YORK)
    assert period(parse_cadence("0 6 * * *"), zone=NEW_YORK, near=now) == timedelta(days=1)


@pytest.mark.parametrize(
    ("cadence", "hours"),
    [
        ("90m", 1.5),
        ("*/15 * * * *", 0.25),
        ("0 6 * * *", 24),
        ("0 2,15 * * *", 13),
        ("15 2 * * mon-fri", 72),
        ("30 8-18/2 * * mon-fri", 62),
        ("0 3 1 * *", 31 * 24),
        ("0 3 1 * mon", 7 * 24),
        ("0 0 29 2 *", 1461 * 24),
        ("0 0 29 2 */3", 1530 * 24),
    ],
)
def test_the_longest_gap_between_two_runs(cadence: str, hours: float) -> None:
    assert longest_gap(parse_cadence(cadence)) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0h",
        "6 hours",
        "* * * *",
        "60 * * * *",
        "5-1 * * * *",
        "- * * * *",
        "*-3 * * * *",
        "0 0 31 feb *",
        "a b c d e",
        "0 0 * * 8",
    ],
)
def test_what_is_no_cadence_says_so(text: str) -> None:
    with pytest.raises(CadenceProblem):
        parse_cadence(text)


# --- digests ----------------------------------------------------------------------------------------------------------


def test_the_commitment_of_the_specification() -> None:
    found = commitment(digest_of(b"refund policy text v1"), bytes(range(32)))
    assert found == "sha256:7666b92fef986bafc7f832b1f3879ce2553d751b8e0dfef20ccd39b31a896821"
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(found, b"short")
    assert revision_hmac(b"k", "x") != revision_hmac(b"l", "x")


@given(st.lists(st.tuples(st.text(alphabet='ab"\\é\n😀', min_size=1, max_size=4), st.integers(0, 3)), max_size=6))
def test_the_version_s_bytes_are_canonical_in_any_order(found: list[tuple[str, int]]) -> None:
    revisions = [
        Committed(document=name, effective_from=DAY + timedelta(days=n), commitment=digest_of(f"{name}{n}".encode()))
        for name, n in dict.fromkeys(found)
    ]
    body = version_bytes("lending", 3, revisions)
    ordered = sorted(revisions, key=lambda one: (one.document, one.effective_from or DAY))
    docs = [[one.document, one.commitment] for one in ordered]
    assert body == canonical_bytes({"v": 1, "corpus": "lending", "number": 3, "docs": docs})
    assert version_bytes("lending", 3, reversed(revisions)) == body
    assert version_digest(body) == digest_of(body)


# --- quality ----------------------------------------------------------------------------------------------------------


def test_near_copies_are_found_and_others_are_not() -> None:
    words = [f"word{n}" for n in range(400)]
    base, near, far = " ".join(words), " ".join([*words[:200], "changed", *words[201:]]), " ".join(reversed(words))
    signatures = [signature_of(text) for text in (base, near, far, base)]
    assert signature_of("only four words here") is None
    made = [one for one in signatures if one is not None]
    assert resemblance(made[0], made[2]) < 0.1
    pairs = {(a, b) for a, b, score in near_pairs(["base", "near", "far", "copy"], made) if score >= 0.9}
    assert pairs == {("base", "near"), ("base", "copy")}
    assert list(near_pairs(["one"], made[:1])) == []


def test_texts_that_are_only_alike_are_compared_and_not_called_near_copies() -> None:
    words = [f"word{n}" for n in range(400)]
    alike = [f"other{n}" if n % 50 == 25 else word for n, word in enumerate(words)]
    made = [one for text in (words, alike) if (one := signature_of(" ".join(text))) is not None]
    assert 0.7 < resemblance(*made) < 0.9
    assert list(near_pairs(["words", "alike"], made)) == []


@pytest.mark.parametrize("before", ["", "word ", " \t\n", "long " * 20_000, "\u00e9t\u00e9\u00a0" * 9])
def test_a_word_has_one_hash_wherever_it_stands(before: str) -> None:
    words = ["refund", "Refund", "refunds", "dnufer", "stra\u00dfe", "\u4e2d\u6587", "\ud800", "x" * 70_000]
    found = _word_hashes(before + " \r\x0b\x0c ".join(words)).tolist()[-len(words) :]
    alone = [_word_hashes(word).tolist()[0] for word in words[1:]]
    assert found[1:] == alone
    assert found[0] == found[1] if not before.endswith("\u00a0") else found[0] != found[1]
    assert len(set(alone)) == len(alone)


def test_texts_without_words_have_no_hashes() -> None:
    assert [len(_word_hashes(text)) for text in ("", " ", "\n\t ")] == [0, 0, 0]


def test_the_removal_guard_needs_a_share_and_a_number() -> None:
    assert removal_guard(before=20, removed=10) is None
    assert removal_guard(before=100, removed=20) is None
    reason = removal_guard(before=50, removed=11)
    assert reason is not None
    assert (reason.code, reason.observed) == ("REMOVAL_GUARD", "22.0%")
