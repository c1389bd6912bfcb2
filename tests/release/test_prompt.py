"""`prompt.md`: two places that serving fills, each exactly once, and text that is never interpreted."""

from __future__ import annotations

import pytest

from pilotage.core.errors import InvalidFiles
from pilotage.core.located import Problems
from pilotage.release.prompt import MAX_PROMPT_BYTES, Prompt, parse_prompt

WHOLE = "Answer from {passages}. Question: {question}\n"


def read(text: str) -> Prompt:
    problems = Problems()
    found = parse_prompt(text.encode(), file="prompt.md", problems=problems)
    problems.raise_if_any()
    return found


def test_front_matter_is_kept_apart_and_what_is_filled_in_stays_text() -> None:
    found = read(f"---\nowner: ada\n---\n\n{WHOLE}")
    assert (found.template, found.notes) == (WHOLE, {"owner": "ada"})
    assert found.fill(passages="{question}", question="{passages}") == "Answer from {question}. Question: {passages}\n"


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("Question: {question}", "The prompt does not hold {passages}", 1),
        (f"{WHOLE}{{question}} {{question}}", "The prompt holds {question} 3 times", 1),
        ("---\nowner: ada\n---\nFrom {passages}.", "The prompt does not hold {question}", 4),
    ],
    ids=["a place is missing", "a place stands thrice", "behind front matter"],
)
def test_each_place_stands_exactly_once(text: str, what: str, line: int) -> None:
    with pytest.raises(InvalidFiles) as caught:
        read(text)
    assert [(one.what, one.line) for one in caught.value.problems] == [(what, line)]
    assert "exactly once" in caught.value.problems[0].hint


@pytest.mark.parametrize(
    "text", ["---\nowner: ada\n", WHOLE + "x" * MAX_PROMPT_BYTES], ids=["never closed", "too long"]
)
def test_a_file_that_cannot_be_read_gives_no_prompt(text: str) -> None:
    problems = Problems()
    assert parse_prompt(text.encode(), file="prompt.md", problems=problems) == Prompt(template="")
    assert len(problems.found) == 1
