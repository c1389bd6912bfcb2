"""A process checks each space in turn: model, documents, records; a check that fails, hangs or breaks has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import psycopg
import pytest

from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import Unavailable
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.release.content import ReleaseContent
from pilotage.serving import health_checks
from pilotage.serving.health_checks import HealthChecks, routed_and_not_loaded
from pilotage.serving.routing import Release, RoutingRow
from pilotage.space.settings import Availability, Space
from pilotage.store.serving_reports import ReportRow
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import SPACE, WORKFLOW, Plan, space

pytestmark = pytest.mark.anyio
DOWN = Unavailable("upstream_failed", "No.", hint="Wait.")


@dataclass(slots=True)
class Reports:
    """Keeps reports."""

    rows: list[ReportRow] = field(default_factory=list)

    async def write(self, rows: Sequence[ReportRow]) -> None:
        self.rows += rows

    async def forget(self) -> None:
        self.rows.clear()

    def counts(self) -> list[tuple[int, int]]:
        return [(row.failures, row.successes) for row in self.rows]

    def codes(self) -> list[str]:
        return [reason["code"] for row in self.rows for reason in row.reasons]


def at_once(name: SpaceName = SPACE) -> Space:
    """Return a space that is checked at every look."""
    return space(name, availability=Availability(health_check_interval_s=0.0))


def checks_of(
    desk: Desk,
    reports: Reports,
    *,
    indexed: bool = True,
    not_loaded: Callable[[Digest], str] = routed_and_not_loaded,
) -> HealthChecks:
    def is_indexed(_content: ReleaseContent, _space: Space) -> bool:
        return indexed

    return HealthChecks(
        desk.path.serving,
        reports,
        table=lambda: desk.path.routing.current,
        not_loaded=not_loaded,
        indexed=is_indexed,
    )


async def test_successive_failures_and_successes_are_counted() -> None:
    model = FakeModel()
    async with opened(Plan(model=model, spaces=(at_once(),))) as desk:
        reports = Reports()
        checks = checks_of(desk, reports)
        for failure in (None, DOWN, DOWN, None):
            model.failure = failure
            await checks.check_due()
    assert reports.counts() == [(0, 1), (1, 0), (2, 0), (0, 1)]
    assert reports.codes() == ["MODEL_UNREACHABLE", "MODEL_UNREACHABLE"]


@pytest.mark.feature("D13.12", "D13.70")
async def test_documents_that_cannot_be_searched_fail_the_check_and_readiness() -> None:
    async with opened(Plan(spaces=(at_once(),))) as desk:
        reports = Reports()
        checks = checks_of(desk, reports, indexed=False)
        await checks.check_due()
        assert checks.against() == []
        await checks.check_due()
        assert [reason.code for reason in checks.against()] == ["INDEX_NOT_LOADED"]
    assert reports.codes() == ["INDEX_NOT_LOADED"] * 2


@pytest.mark.feature("D13.12")
async def test_records_that_cannot_be_written_fail_the_check() -> None:
    async with opened(Plan(spaces=(at_once(),))) as desk:
        reports = Reports()
        desk.path.serving.recorder.failing_since = 1.0
        await checks_of(desk, reports).check_due()
    assert "LEDGER_UNWRITABLE" in reports.codes()


async def test_a_release_that_is_routed_and_not_loaded_fails_the_check() -> None:
    async with opened(Plan(spaces=(at_once(),))) as desk:
        reports = Reports()
        desk.path.routing.current = replace(desk.path.routing.current, releases={})
        await checks_of(desk, reports, not_loaded=lambda digest: f"{digest} needs more memory.").check_due()
    assert reports.codes() == ["RELEASE_NOT_LOADED"]
    (reason,) = reports.rows[-1].reasons
    assert str(reason["text"]).endswith(" needs more memory.")


class Hanging(FakeModel):
    """A model that never answers a probe."""

    async def probe(self) -> None:
        await asyncio.get_running_loop().create_future()


class Broken(FakeModel):
    """A model whose probe breaks."""

    async def probe(self) -> None:
        raise RuntimeError


async def test_a_model_that_hangs_has_failed_and_one_that_breaks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_checks, "TIMEOUT_S", 0.01)
    for model, code in ((Hanging(), "CHECK_LATE"), (Broken(), "CHECK_FAILED")):
        async with opened(Plan(model=model, spaces=(at_once(),))) as desk:
            reports = Reports()
            await checks_of(desk, reports).check_due()
        assert reports.codes() == [code]


async def test_one_unhealthy_space_does_not_take_the_process_from_the_others() -> None:
    model = FakeModel(failure=DOWN)
    other = SpaceName("other")
    async with opened(Plan(model=model, spaces=(at_once(), at_once(other)))) as desk:
        checks = checks_of(desk, Reports())
        await checks.check_due()
        await checks.check_due()
        assert {reason.code for reason in checks.against()} == {"MODEL_UNREACHABLE"}
        rows = desk.path.routing.current.rows
        closed = {place: replace(row, stable=None) if place[0] == other else row for place, row in rows.items()}
        desk.path.routing.current = replace(desk.path.routing.current, rows=closed)
        await checks.check_due()
        assert checks.against() == []
        assert checks.spaces()[str(SPACE)] != checks.spaces()[str(other)]


def with_second(desk: Desk, model: FakeModel) -> None:
    """Route a second workflow in the space, which another model speaks for."""
    current = desk.path.routing.current
    (first,) = current.releases.values()
    content = replace(first.content, workflow=SECOND, digest=digest_of(b"second"))
    release = Release(content=content, model=model)
    row = RoutingRow(space=SPACE, workflow=SECOND, generation=1, stable=release.digest)
    rows = {**current.rows, (SPACE, SECOND): row}
    releases = {**current.releases, release.digest: release}
    assert len(releases) == 2
    desk.path.routing.current = replace(current, rows=rows, releases=releases)


SECOND = WorkflowName("second")


@pytest.mark.parametrize(
    ("ill", "code"),
    [(FakeModel(failure=DOWN), "MODEL_UNREACHABLE"), (Hanging(), "CHECK_LATE"), (Broken(), "CHECK_FAILED")],
)
async def test_what_fails_one_workflow_is_said_of_that_workflow(
    monkeypatch: pytest.MonkeyPatch, ill: FakeModel, code: str
) -> None:
    monkeypatch.setattr(health_checks, "TIMEOUT_S", 0.01)
    async with opened(Plan(spaces=(at_once(),))) as desk:
        with_second(desk, ill)
        reports = Reports()
        checks = checks_of(desk, reports)
        await checks.check_due()
        await checks.check_due()
        assert checks.against() == []  # the other workflow is answered
    assert reports.counts() == [(1, 0), (2, 0)]
    assert [(reason["code"], reason["where"]) for row in reports.rows for reason in row.reasons] == [(code, SECOND)] * 2


async def test_two_failures_count_when_they_are_of_the_same_workflow() -> None:
    model, second = FakeModel(), FakeModel()
    async with opened(Plan(model=model, spaces=(at_once(),))) as desk:
        with_second(desk, second)
        reports = Reports()
        checks = checks_of(desk, reports)
        for model.failure, second.failure in ((DOWN, None), (None, DOWN), (DOWN, DOWN), (DOWN, DOWN), (None, None)):
            await checks.check_due()
            if reports.counts()[-1] == (3, 0):
                assert {reason.code for reason in checks.against()} == {"MODEL_UNREACHABLE"}  # nothing is answered
    assert reports.counts() == [(1, 0), (1, 0), (2, 0), (3, 0), (0, 1)]
    places = [sorted(reason["where"] for reason in row.reasons) for row in reports.rows]
    assert places == [[WORKFLOW], [SECOND], [SECOND], sorted([WORKFLOW, SECOND]), []]


async def test_what_fails_the_space_fails_each_of_its_workflows() -> None:
    second = FakeModel()
    async with opened(Plan(spaces=(at_once(),))) as desk:
        with_second(desk, second)
        reports = Reports()
        checks = checks_of(desk, reports)
        desk.path.serving.recorder.failing_since = 1.0
        await checks.check_due()
        desk.path.serving.recorder.failing_since, second.failure = None, DOWN
        await checks.check_due()
        desk.path.serving.recorder.failing_since = 1.0
        await checks.check_due()
        assert checks.against() == []  # the space passed in between, so the first workflow is answered
        await checks.check_due()
        assert {reason.code for reason in checks.against()} == {"LEDGER_UNWRITABLE", "MODEL_UNREACHABLE"}
        desk.path.serving.recorder.failing_since = None
    assert reports.counts() == [(1, 0), (2, 0), (3, 0), (4, 0)]


async def test_a_space_that_fails_once_after_a_workflow_takes_only_that_workflow() -> None:
    second = FakeModel(failure=DOWN)
    async with opened(Plan(spaces=(at_once(),))) as desk:
        with_second(desk, second)
        reports = Reports()
        checks = checks_of(desk, reports)
        await checks.check_due()
        second.failure, desk.path.serving.recorder.failing_since = None, 1.0
        await checks.check_due()
        assert checks.against() == []
        said = [(reason["code"], reason["where"]) for reason in reports.rows[-1].reasons]
        await checks.check_due()
        assert {reason.code for reason in checks.against()} == {"LEDGER_UNWRITABLE"}
        desk.path.serving.recorder.failing_since = None
    assert said == [("LEDGER_UNWRITABLE", SECOND)]
    assert reports.counts() == [(1, 0), (2, 0), (3, 0)]


async def test_a_check_whose_report_could_not_be_written_is_made_again_at_once() -> None:
    class Once(Reports):
        is_away = True

        async def write(self, rows: Sequence[ReportRow]) -> None:
            if self.is_away:
                raise psycopg.OperationalError
            await super().write(rows)

    hourly = space(availability=Availability(health_check_interval_s=3600.0))
    async with opened(Plan(model=FakeModel(failure=DOWN), spaces=(hourly,))) as desk:
        reports = Once()
        checks = checks_of(desk, reports)
        for _ in range(3):
            with pytest.raises(psycopg.OperationalError):
                await checks.check_due()
        reports.is_away = False
        await checks.check_due()
        await checks.check_due()
    assert reports.counts() == [(1, 0)]


@pytest.mark.feature("D13.71")
async def test_a_space_is_checked_at_its_own_pace() -> None:
    async with opened(Plan(spaces=(space(availability=Availability(health_check_interval_s=3600.0)),))) as desk:
        reports = Reports()
        checks = checks_of(desk, reports)
        await checks.check_due()
        await checks.check_due()
    assert reports.counts() == [(0, 1)]


async def test_the_loop_outlives_a_store_that_is_away() -> None:
    class Away(Reports):
        async def write(self, _rows: Sequence[ReportRow], /) -> None:
            raise psycopg.OperationalError

    async with opened(Plan(spaces=(at_once(),))) as desk:
        checks = checks_of(desk, Away())
        checks.start()
        await asyncio.sleep(0.05)
        await checks.stop()
        assert checks.spaces()
