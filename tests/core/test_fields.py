"""Typed access reports every mistake of a mapping at once, with the nearest known name."""

from __future__ import annotations

from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.fields import (
    ANY,
    BOOLEAN,
    TEXT,
    Fields,
    choice,
    converted,
    integer,
    list_of,
    map_of,
    number,
    read_record,
    record,
    reference,
)
from pilotage.core.front_matter import split_front_matter
from pilotage.core.ids import SLUG
from pilotage.core.located import Problems, did_you_mean, from_plain
from pilotage.core.urls import URL


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


def problems_of(value: Json, parse: object) -> list[str]:
    problems = Problems()
    read_record(from_plain(value, file="f", line=1), problems, parse)  # type: ignore[arg-type]
    return [str(problem) for problem in problems.found]


def test_every_mistake_is_reported_at_once() -> None:
    def parse(fields: Fields) -> None:
        fields.need("name", TEXT)
        fields.need("age", integer(0, 150))
        fields.need("colour", choice(Colour))
        fields.need("absent", BOOLEAN)
        fields.get("share", number(0.0, 1.0), None)
        fields.get("tags", list_of(TEXT, at_least=2), ())
        fields.get("inner", record(lambda inner: inner.need("x", integer())), None)
        fields.get("map", map_of(TEXT, key=SLUG, form="a slug"), None)
        fields.get("list", list_of(TEXT), None)
        fields.get("flag", BOOLEAN, default=False)
        fields.get("one", converted(int, 0), 0)

    value: Json = {
        "name": 7,
        "age": 200,
        "colour": "gren",
        "share": "x",
        "tags": ["a"],
        "inner": {"y": 1},
        "map": {"BAD": "x"},
        "list": "a",
        "flag": "yes",
        "one": [],
        "nmae": 1,
    }
    assert problems_of(value, parse) == [
        "f:1: 'name' is a whole number, not text. Put it in quotes.",
        "f:1: 'age' is 200. Write a whole number from 0 to 150.",
        "f:1: 'colour' cannot be 'gren'. Did you mean 'green'?",
        "f:1: 'absent' is missing. Write `absent: ...`.",
        "f:1: 'share' is text, not a number. Write a number from 0.0 to 1.0.",
        "f:1: 'tags' has 1 entries. Write at least 2.",
        "f:1: 'inner.x' is missing. Write `x: ...`.",
        "f:1: The key 'inner.y' is unknown. Known keys: x.",
        "f:1: 'BAD' cannot be a key of 'map'. Write a slug.",
        "f:1: 'list' is text, not a list. Write `- value` lines, or [a, b].",
        "f:1: 'flag' is text, not true or false. Write true or false.",
        "f:1: 'one' is a list, not a single value. Write one value.",
        "f:1: The key 'nmae' is unknown. Did you mean 'name'?",
    ]


def test_unknown_keys_list_the_known_ones_when_none_is_near() -> None:
    def parse(fields: Fields) -> None:
        fields.get("alpha", ANY, None)
        fields.get("beta", ANY, None)

    assert problems_of({"zzz": 1}, parse) == ["f:1: The key 'zzz' is unknown. Known keys: alpha, beta."]


def test_wrong_kinds_at_the_top_are_mistakes() -> None:
    assert problems_of([1], lambda fields: fields.need("x", TEXT)) == [
        "f:1: This is a list, not a mapping. Write keys and values below it."
    ]
    assert problems_of({"x": True}, lambda f: f.need("x", integer())) == [
        "f:1: 'x' is true or false, not a whole number. Write a whole number from 0."
    ]
    assert problems_of({"x": 3}, lambda f: f.need("x", choice(Colour))) == [
        "f:1: 'x' is a whole number, not one of the known words. Write one of: red, green."
    ]
    assert problems_of({"x": " "}, lambda f: f.need("x", TEXT)) == [
        "f:1: 'x' is empty. Write a value, or remove the key."
    ]
    assert problems_of({"x": 5}, lambda f: f.need("x", map_of(TEXT))) == [
        "f:1: 'x' is a whole number, not a mapping. Write `name: value` lines below it."
    ]
    assert problems_of({"x": 5.0}, lambda f: f.need("x", number(6.0))) == ["f:1: 'x' is 5.0. Write a number from 6.0."]


def test_null_counts_as_absent_and_one_value_may_stand_for_a_list() -> None:
    def parse(fields: Fields) -> tuple[object, object]:
        return fields.get("a", TEXT, "default"), fields.get("b", list_of(TEXT, or_one=True), ())

    problems = Problems()
    assert read_record(from_plain({"a": None, "b": "x"}, file="f"), problems, parse) == ("default", ("x",))
    assert problems.found == []


def test_a_reference_is_remembered_with_its_place() -> None:
    problems = Problems()
    read_record(
        from_plain({"who": "ada"}, file="f", line=4), problems, lambda f: f.need("who", reference("person", str))
    )
    (found,) = problems.references
    assert (found.kind, found.name, found.at.line) == ("person", "ada", 4)


def test_hints_without_any_known_name() -> None:
    assert did_you_mean("x", [], instead="Write one of") == "Write one of; none is declared."


def test_hints_show_every_known_name_or_say_how_many_more_there_are() -> None:
    assert did_you_mean("?", [f"k{number}" for number in range(40)], instead="Known keys").count("k") == 1 + 40
    many = did_you_mean("?", [f"k{number:02}" for number in range(41)], instead="Known keys")
    assert many.endswith(", k11 and 29 more.")


def test_addresses_are_encrypted_plain_and_without_secrets() -> None:
    def check(text: str) -> list[str]:
        return problems_of({"x": text}, lambda f: f.need("x", URL))

    assert check("https://idp.example/keys") == []
    assert check("http://127.0.0.1:8080/v1") == []
    assert check("http://localhost/v1") == []
    assert "is not encrypted" in check("http://idp.example/keys")[0]
    assert "user information" in check("https://a:b@idp.example/")[0]
    assert "user information" in check("https://idp.example/#x")[0]
    for text in ("idp.example", "ftp://x/", "https://", "https://a b/", "https://x:99999/", "https://[1/"):
        assert "is not an address" in check(text)[0]


def test_front_matter_is_split_with_its_lines() -> None:
    problems = Problems()
    split = split_front_matter(b"---\nowner: ada\n---\nBody\n", file="d.md", problems=problems, limit=1000)
    assert split is not None
    assert (split.notes, split.body, split.body_line) == ({"owner": "ada"}, "Body\n", 4)
    plain = split_front_matter(b"Body\n", file="d.md", problems=problems, limit=1000)
    assert plain is not None
    assert (plain.notes, plain.body, plain.body_line) == ({}, "Body\n", 1)
    empty = split_front_matter(b"---\n\n---\nBody", file="d.md", problems=problems, limit=1000)
    assert empty is not None
    assert empty.body == "Body"
    assert problems.found == []


def test_bad_front_matter_is_a_mistake_with_its_line() -> None:
    problems = Problems()
    assert split_front_matter(b"---\na: 1\n", file="d.md", problems=problems, limit=1000) is None
    split_front_matter(b"---\n- a\n---\n", file="e.md", problems=problems, limit=1000)
    split_front_matter(b"---\na: [\n---\n", file="g.md", problems=problems, limit=1000)
    assert split_front_matter(b"x" * 20, file="h.md", problems=problems, limit=10) is None
    found = [str(problem) for problem in problems.found]
    assert found[0] == "d.md:1: The front matter never ends. Write a line `---` after it."
    assert found[1].startswith("e.md:2: The front matter is not a mapping.")
    assert "not YAML" in found[2]
    assert found[3] == "h.md: The file has 20 bytes. Keep it at 10 bytes or fewer."
