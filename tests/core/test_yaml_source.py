"""YAML becomes values with lines, by the core schema, within bounds; nothing in it is executed."""

from __future__ import annotations

import itertools
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles
from pilotage.core.located import Located, Problems, from_plain, nearest
from pilotage.core.yaml_source import MAX_YAML_BYTES, load_yaml, load_yaml_documents


def read(text: str | bytes) -> tuple[Located | None, list[str]]:
    problems = Problems()
    data = text.encode() if isinstance(text, str) else text
    value = load_yaml(data, file="f.yaml", problems=problems)
    return value, [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30", "12:30"),
        ("2026-01-02", "2026-01-02"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("0x1F", 31),
        ("007", 7),
        ("-3", -3),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'true'", "true"),
        ("True", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("70%", "70%"),
        (".inf", ".inf"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: Json) -> None:
    found, problems = read(f"key: {text}")
    assert problems == []
    assert found is not None
    plain = found.plain()
    assert isinstance(plain, dict)
    assert plain["key"] == value
    assert type(plain["key"]) is type(value)


def test_every_value_knows_its_line_and_path() -> None:
    found, _ = read("a: 1\nb:\n  - x\n  - c:\n      d: [1, 2]\n")
    assert found is not None
    assert isinstance(found.node, dict)
    b = found.node["b"]
    assert (b.line, b.path) == (2, "b")
    assert isinstance(b.node, tuple)
    inner = b.node[1]
    assert isinstance(inner.node, dict)
    c = inner.node["c"]
    assert isinstance(c.node, dict)
    assert (c.node["d"].line, c.node["d"].path) == (5, "b[1].c.d")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "f.yaml:2: The key 'a' stands twice (first on line 1). Keep one of them."),
        (
            "x: !!python/object/apply:os.system [id]",
            "f.yaml:1: The tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("x: !mine 3", "f.yaml:1: The tag '!mine' is not allowed. Remove the tag; write a plain value."),
        ("? [a]\n: b", "f.yaml:1: A key is not text."),
        ("a: &x {b: 1}\nc:\n  <<: *x", "f.yaml:3: Merge keys (<<) are not supported. Write the keys out."),
        ("a: *nothing", "f.yaml:1: The alias *nothing names nothing above it. Write the value out."),
        ("a: &a [*a]", "f.yaml:1: The alias *a names nothing above it"),
        ("a:\n\tb: 1", "f.yaml:2: This is not YAML"),
        ("a: 'open", "f.yaml:1: This is not YAML"),
        ("a: \x00", "f.yaml: This is not YAML"),
        ("a: 1e999", "f.yaml:1: The number 1e999 is too large"),
        ("a: " + "9" * 50, "f.yaml:1: A number has more than 40 characters"),
        ("a: 1\n---\nb: 2", "f.yaml:3: A second YAML document starts here"),
        ("", "f.yaml: The file is empty"),
        ("# only a comment", "f.yaml: The file is empty"),
        (b"a: 1\nb: \xff", "f.yaml:2: Byte 8 is not UTF-8. Save the file as UTF-8."),
        (b"a" * (MAX_YAML_BYTES + 1), "f.yaml: The file has 1,048,577 bytes"),
    ],
)
def test_a_mistake_names_its_line_and_what_to_write(text: str | bytes, problem: str) -> None:
    _, problems = read(text)
    assert len(problems) == 1
    # Line numbers of the parser's own messages differ between libyaml and the pure parser by at most one.
    assert problems[0].startswith(problem) or ("not YAML" in problem and "not YAML" in problems[0])


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 200_000, "{a: " * 5000])
def test_deep_nesting_is_refused_without_exhausting_the_stack(text: str) -> None:
    found, problems = read(text)
    assert found is None
    limits = "Keep at most 50,000 values, nested at most 40 deep; an alias counts each time."
    assert problems == [f"f.yaml:1: The file is too large or too deeply nested. {limits}"]


def test_billion_laughs_is_counted_and_refused() -> None:
    names = "abcdefghi"
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]" for old, new in itertools.pairwise(names)]
    found, problems = read("\n".join(lines))
    assert found is None
    assert len(problems) == 1
    assert "too large" in problems[0]


def test_an_alias_is_its_value() -> None:
    found, problems = read("a: &x {b: 1}\nc: *x\nd: [*x]\ne: &s text\n*s : key")
    assert problems == []
    assert found is not None
    assert found.plain() == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}], "e": "text", "text": "key"}


def test_documents_and_front_matter_lines() -> None:
    problems = Problems()
    found = load_yaml_documents(b"a: 1\n---\nb: 2\n---\n", file="f", problems=problems, first_line=5)
    assert [document.plain() for document in found] == [{"a": 1}, {"b": 2}]
    assert [document.line for document in found] == [5, 7]


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_what_a_yaml_writer_wrote_is_read_back(value: Json) -> None:
    text = yaml.safe_dump({"key": value}, allow_unicode=True, width=200)
    problems = Problems()
    found = load_yaml(text.encode(), file="f", problems=problems)
    # PyYAML writes 1.1: floats such as 1e-07 without a dot are text by the core schema of both.
    assert found is not None
    assert problems.found == []
    plain = found.plain()
    assert isinstance(plain, dict)
    assert same(plain["key"], value)


def same(left: Json, right: Json) -> bool:
    if isinstance(right, float) and isinstance(left, int | float) and not isinstance(left, bool):
        return math.isclose(left, right, rel_tol=1e-15)
    if isinstance(right, dict):
        return isinstance(left, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in right)
    if isinstance(right, list):
        return isinstance(left, list) and len(left) == len(right) and all(map(same, left, right))
    return left == right and type(left) is type(right)


@given(JSON)
def test_plain_values_survive_being_located(value: Json) -> None:
    assert from_plain(value, file="part", line=3).plain() == value


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_otherwise_than_with_problems(data: bytes) -> None:
    problems = Problems()
    found = load_yaml(data, file="f", problems=problems)
    assert found is not None or problems.found


def test_kinds_are_named_for_people() -> None:
    values: tuple[Json, ...] = ("x", True, 1, 1.5, [], {}, None)
    kinds = [from_plain(value, file="f").kind for value in values]
    assert kinds == ["text", "true or false", "a whole number", "a number", "a list", "a mapping", "nothing"]


def test_problems_are_raised_together_sorted_and_once_each() -> None:
    problems = Problems()
    problems.raise_if_any()
    problems.add_at("b.yaml", 2, "Second", "Hint.")
    problems.add_at("a.yaml", 9, "First", "Hint.")
    problems.add_at("a.yaml", 9, "First", "Hint.")
    with pytest.raises(InvalidFiles) as caught:
        problems.raise_if_any()
    assert caught.value.message == "a.yaml:9: First. Hint.\nb.yaml:2: Second. Hint."


def test_the_nearest_name_ignores_case_and_may_be_nothing() -> None:
    assert nearest("Securty", ["security", "scaling"]) == "security"
    assert nearest("xyz", ["security"]) is None
    assert nearest("xyz", []) is None
