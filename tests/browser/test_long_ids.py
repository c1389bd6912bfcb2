"""Ids of evidence in narrow columns wrap instead of being cut, and the headline names the gate that is next."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine
from tests.browser.served import Served, chromium, sign_in
from tests.console.room import make_room
from tests.control.gate_world import DEV, FELIX, PROMOTER, junit

from pilotage.control.promote_release import Promoted, promote_release

pytestmark = [pytest.mark.store, pytest.mark.timeout(300)]
_CUT = """[...document.querySelectorAll('main *')].filter(one => one.clientWidth > 1 && !one.matches('.scroll')
  && getComputedStyle(one).overflowX !== 'visible' && one.scrollWidth > one.clientWidth).map(one => one.textContent)"""


def test_no_id_of_evidence_is_cut_and_the_gate_ahead_is_named(own_engine: Engine, tmp_path: Path) -> None:
    room = make_room(own_engine, tmp_path)
    world, gate = room.world, f"/releases/{room.short}/gates/code-review"
    world.attach(("tests.unit", junit()))
    world.review()
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=DEV)
    assert isinstance(done, Promoted), done
    world.inner.clock.advance(timedelta(days=60))
    with Served(room.site.console) as served, chromium() as browser:
        page = sign_in(browser, served.address, room.site.key(FELIX).text)
        for width in (360, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"/releases/{room.short}")
            expect(page.locator(".says")).to_contain_text("Live in dev-deployment. May it move on? Not past cab: ")
            expect(page.locator("ol.gates li").first).to_contain_text(" d old; it counts for ")
            assert page.evaluate(_CUT) == []
            page.goto(gate)
            expect(page.locator(".why").first).to_contain_text(" d old; it counts for ")
            assert page.evaluate(_CUT) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
