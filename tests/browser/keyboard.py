"""A person with a keyboard and no mouse: goes from control to control, sees where they are, and acts by keys alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

GOLDEN: Final = Path(__file__).parent / "golden"
MOST: Final = 80
KEYS: Final = frozenset({"Space", "ArrowDown"})
_HERE: Final = """(() => {
  const one = document.activeElement;
  const words = (text) => (text || '').replace(/\\s+/g, ' ').trim();
  const ids = (one.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean);
  const read = (node) => {
    const copy = node.cloneNode(true);
    for (const unread of copy.querySelectorAll('textarea, select, input, [aria-hidden=true]')) unread.remove();
    return words(copy.textContent);
  };
  const labels = [...(one.labels || [])].map(read);
  const said = ids.map((id) => read(document.getElementById(id))).join(' ');
  const name = one.getAttribute('aria-label') || said || labels.join(' ') || read(one);
  const kind = one.tagName === 'INPUT' ? one.type : one.getAttribute('role') || one.tagName.toLowerCase();
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
  const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
  const points = [];
  for (const x of [0.1, 0.5, 0.9]) for (const y of [0.1, 0.5, 0.9])
    points.push(document.elementFromPoint(left + x * (right - left), top + y * (bottom - top)));
  return {
    name: `${kind} ${words(name).slice(0, 70)}`,
    ringed: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    inside: right > left && bottom > top,
    uncovered: points.some((met) => met && (one === met || one.contains(met))),
    isBody: one === document.body,
  };
})()"""


def stops(page: Page, hide: Mapping[str, str]) -> Iterator[str]:
    """Press Tab until the page ends; yield what each stop is called. Each must be seen: ringed, in view, uncovered.

    `hide` maps patterns of what differs from run to run, such as digests, to the word that stands for them.
    """
    for _ in range(MOST):
        page.keyboard.press("Tab")
        here: dict[str, Any] = page.evaluate(_HERE)
        if here["isBody"]:
            return
        assert here["ringed"], f"the focus is not seen on {here['name']}"
        assert here["inside"], f"the focus is out of view on {here['name']}"
        assert here["uncovered"], f"something covers the focus on {here['name']}"
        name = here["name"]
        for pattern, word in hide.items():
            name = re.sub(pattern, word, name)
        yield name.strip()
    message = f"the page has more than {MOST} stops: a trap?"
    raise AssertionError(message)


def act(page: Page, keys: Mapping[str, tuple[str, ...]], *, last: str, hide: Mapping[str, str]) -> list[str]:
    """Walk to the stop called `last` and press Enter there; on the way press the keys of each stop. Return the way.

    What is not among `KEYS` is typed as text.
    """
    way: list[str] = []
    for name in stops(page, hide):
        way.append(name)
        for key in keys.get(name, ()):
            if key in KEYS:
                page.keyboard.press(key)
            else:
                page.keyboard.type(key)
        if name == last:
            page.keyboard.press("Enter")
            return way
    message = f"{last!r} is not reached by Tab: {way}"
    raise AssertionError(message)


def same_as_golden(name: str, way: list[str]) -> None:
    """Compare the order of the stops with the one that is kept."""
    path = GOLDEN / f"focus-{name}.txt"
    kept = path.read_text().splitlines() if path.exists() else []
    assert way == kept, f"the focus takes another way than {path.name} says:\n" + "\n".join(way)
