"""What the demo says to look at first is there, and each act leads to what it told."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.app import Joined
from pilotage.cli.demo import _LOGINS, Demo
from pilotage.console.site import TABLE


@pytest.mark.parametrize(("acts", "more"), [(1, 0), (2, 1), (3, 3), (4, 3)])
def test_every_sight_is_a_page(acts: int, more: int) -> None:
    nobody: Any = None
    demo = Demo(
        runtime=Joined(), options=nobody, speed=1, keep=True, port=8080, acts=acts, release=f"sha256:{'a' * 64}"
    )
    sights = dict(demo._sights())
    assert len(sights) == 3 + more
    for path in sights:
        assert TABLE.match("GET", path).entry is not None, path


def test_every_role_of_the_story_has_a_login_of_its_own() -> None:
    people = [person for _, person in _LOGINS]
    assert len(set(people)) == len(people)
    assert {role for role, _ in _LOGINS} >= {"engineer", "on-call", "owner", "auditor", "executive sponsor"}
