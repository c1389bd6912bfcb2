"""The tokens of the design: contrast as specified, and no colour, size or shadow outside them."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import pytest

STATIC = resources.files("pilotage.console").joinpath("static")
TEMPLATES = resources.files("pilotage.console").joinpath("templates")
SHEET = STATIC.joinpath("pilotage.css").read_text()
TOKENS, _, RULES = SHEET.partition("/* End of tokens. */")
EXPECTED = {  # console.md 4.1: contrast on bg and on surface, light and dark
    "text": ((16.5, 15.3), (15.3, 13.6)),
    "muted": ((6.6, 6.1), (8.6, 7.6)),
    "accent": ((6.7, 6.2), (8.8, 7.8)),
    "go": ((6.6, 6.1), (9.9, 8.8)),
    "nogo": ((6.5, 6.0), (8.9, 7.9)),
    "hold": ((6.9, 6.4), (10.7, 9.6)),
    "info": ((7.6, 7.0), (9.5, 8.5)),
    "border": ((3.9, 3.6), (5.2, 4.6)),
}


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """WCAG 2.2 contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _scheme(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))


SCHEMES = [_scheme(block) for block in TOKENS.split("  color-scheme:")[1:]]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_contrast_of_every_token_is_the_specified_one(name: str) -> None:
    least = 3.0 if name == "border" else 4.5
    light, dark, chosen = SCHEMES
    assert dark == chosen
    for scheme, (on_page, on_surface) in zip((light, dark), EXPECTED[name], strict=True):
        for ground, expected in (("bg", on_page), ("surface", on_surface)):
            found = contrast(scheme[name], scheme[ground])
            assert found == pytest.approx(expected, abs=0.1), (name, ground)
            assert found >= least


def test_no_colour_size_or_shadow_stands_outside_the_tokens() -> None:
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|\boklch\(", RULES) == []
    for size in re.findall(r"font(?:-size)?: ([^;}]+)", RULES):
        assert size.startswith(("var(--", "inherit")), size
    for shadow in re.findall(r"box-shadow: ([^;}]+)", RULES):
        assert "var(--" in shadow


def test_no_template_carries_a_style_or_prints_a_status_word_of_its_own() -> None:
    words = re.compile(r"\b(NO-GO|INCONCLUSIVE|NOT MET|STALE|EXPIRED|UNKNOWN)\b")
    for template in TEMPLATES.iterdir():
        text = template.read_text()
        assert "style=" not in text, template.name
        assert "|first" not in text.replace(" ", ""), "the first of nothing is an error, not an empty place"
        assert "|safe" not in text.replace(" ", ""), template.name
        assert not words.search(text), template.name


VENDORED = dict(re.findall(r"^([0-9a-f]{64})  (\S+)", STATIC.joinpath("VENDORED.txt").read_text(), re.MULTILINE))


def test_files_of_others_are_the_published_ones_with_their_licence() -> None:
    found = {hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest(): name for name in VENDORED.values()}
    assert found == VENDORED
    assert set(VENDORED.values()) == {"uplot.js", "uplot.css", "uplot.LICENSE.txt"}


def test_scripts_stay_small() -> None:
    own = [file for file in STATIC.iterdir() if file.name.endswith(".js") and file.name not in VENDORED.values()]
    sizes = {file.name: len(file.read_text().splitlines()) for file in own}
    assert all(size <= 100 for size in sizes.values()), sizes
    assert sum(sizes.values()) <= 400
