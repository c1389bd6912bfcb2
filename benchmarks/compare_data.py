"""A finished run over the gate split of the sample bank, for the page Compare: long answers with two citations each."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from tests.console.conftest import Bank

from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.evaluation_finish import finish_cases
from pilotage.control.evaluation_scoring import make_scoring
from pilotage.control.sealed_golden import plan_of, sealed_golden
from pilotage.core.digest import Digest
from pilotage.evaluation.generation import Citation, Generation, ScoringContext
from pilotage.evaluation.run import Arm, EvaluationRun, RunState
from pilotage.evaluation.stored import context_json
from pilotage.store.evaluation_answers import put_generation
from pilotage.store.evaluation_runs import move_run
from pilotage.store.evaluation_tasks import progress_of
from pilotage.store.tables.evaluation import evaluation_task

WORDS = 110
CORPUS = "policies-uat"


def compared_releases(bank: Bank) -> tuple[str, str]:
    """Let a release with the same parts answer everything, every seventh case worse; return both."""
    with bank.instance.engine.connect() as connection:
        query = text("SELECT digest FROM release WHERE parent = :parent ORDER BY digest LIMIT 1")
        after = connection.execute(query, {"parent": bank.release}).scalar_one()
    request = EvaluationRequest(release=after, baseline=bank.release)
    run = start_evaluation(bank.instance, actor=bank.person("maria.chen"), request=request)
    assert isinstance(run, EvaluationRun), run
    with bank.instance.engine.begin() as connection:
        golden = sealed_golden(connection, Digest(after))
        plan = plan_of(golden, run)
        at = bank.clock.now()
        move_run(connection, run.id, RunState.RUNNING, expected=(RunState.QUEUED,), at=at)
        for place, planned in enumerate(plan.cases.values()):
            context = ScoringContext(as_of=plan.day(planned.case), locale=planned.locale)
            for arm in (Arm.BASELINE, Arm.CANDIDATE):
                facts = [str(fact.value) for fact in planned.case.expect.facts]
                given = _answer(planned.case.id, [] if arm is Arm.CANDIDATE and place % 7 == 0 else facts, at)
                put_generation(connection, given, corpus=CORPUS, at=at)
                tasks = evaluation_task.update().where(
                    evaluation_task.c.run == run.id,
                    evaluation_task.c.case_id == planned.case.id,
                    evaluation_task.c.arm == arm.value,
                )
                done = {"state": "done", "generation": given.digest, "context": context_json(context)}
                connection.execute(tasks.values(done))
        progress = progress_of(connection, run.id)
    finish_cases(bank.instance, plan, make_scoring(plan.settings), progress)
    return bank.release.removeprefix("sha256:")[:12], str(after).removeprefix("sha256:")[:12]


def _answer(case: str, facts: list[str], at: datetime) -> Generation:
    filler = [f"{word}{number}" for number, word in enumerate(case.replace("-", " ").split() * WORDS)][:WORDS]
    said = f"{' '.join(facts)} applies as of {at.astimezone(UTC):%Y}. [1] {' '.join(filler)}. [2]"
    cited = tuple(Citation(marker=marker, document="d", section="", chunk=f"{marker}:0", text="") for marker in (1, 2))
    return Generation(answer=said, citations=cited)
