"""An incident freeze keeps new versions of the corpora a workflow reads from being accepted (rollouts.md 8.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.control.load_workspace import load_workspace
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.review_version import accept_version, reject_version
from pilotage.control.rollout_moves import machine_deed
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import DataStage
from pilotage.incident.records import Severity
from pilotage.retrieval.settings import CorpusRef
from pilotage.store.corpora import StoredVersion
from pilotage.testing.connectors import MemoryConnector, MemoryDocument
from pilotage.testing.rollouts import EAST, WORKFLOW

pytestmark = pytest.mark.store
BANK = Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"


@pytest.fixture
def corpus(bank: Any, make_settings: Any, fresh_name: Any) -> CorpusName:
    name: CorpusName = bank.declare(make_settings(fresh_name()))
    return name


@pytest.fixture
def frozen(bank: Any, corpus: CorpusName) -> Any:
    """Return the bank with a workflow that reads the corpus, frozen by an incident."""
    flow = load_workspace(BANK).workflows[WORKFLOW]
    retrieval = replace(flow.retrieval, corpora={DataStage.PRODUCTION: CorpusRef(name=corpus)})
    workspace = replace(bank.instance.workspace, workflows={WORKFLOW: replace(flow, retrieval=retrieval)})
    bank.instance = replace(bank.instance, workspace=workspace)
    trouble = Trouble(
        workflow=WORKFLOW,
        space=EAST,
        spaces=(EAST,),
        release=None,
        cause=f"rolled back, {corpus}",
        severity=Severity.SEV2,
        summary="Wrong rates.",
        freezes=True,
    )
    bank.clock.advance(timedelta(seconds=1))
    with bank.instance.engine.begin() as connection:
        connection.execute(text("UPDATE incident SET freeze_lifted_at = now()"))
        bank.incident = open_incident(connection, bank.instance, trouble, machine_deed(bank.clock.now())).id
    return bank


def source(number: int) -> MemoryConnector:
    body = f"# Policy\n\nThe limit is {number} dollars per customer and day.\n".encode()
    return MemoryConnector(documents={"p.md": MemoryDocument(data=body, acl=["group:everyone"])})


def accepted(bank: Any, corpus: CorpusName, version: int) -> StoredVersion | Refusal:
    done: StoredVersion | Refusal = accept_version(bank.instance, actor=bank.owner, corpus=corpus, version=version)
    return done


@pytest.mark.feature("DP.1")
def test_nothing_is_accepted_while_an_incident_freezes_a_workflow_that_reads_it(
    frozen: Any, corpus: CorpusName
) -> None:
    refreshed = frozen.refresh(corpus, source(1))
    assert refreshed.state == "proposed"
    assert [one.code for one in refreshed.not_accepted.reasons] == ["FREEZE"]
    done = accepted(frozen, corpus, 1)
    assert isinstance(done, Refusal)
    assert [(one.code, one.where) for one in done.reasons] == [("FREEZE", frozen.incident)]
    with frozen.instance.engine.begin() as connection:
        connection.execute(text("UPDATE incident SET freeze_lifted_at = now()"))
    assert isinstance(accepted(frozen, corpus, 1), StoredVersion)


def test_another_corpus_is_accepted_and_a_version_rejected_all_the_same(
    frozen: Any, corpus: CorpusName, make_settings: Any, fresh_name: Any
) -> None:
    other = frozen.declare(make_settings(fresh_name()))
    assert frozen.refresh(other, source(1)).state == "accepted"
    frozen.refresh(corpus, source(2))
    done = reject_version(frozen.instance, actor=frozen.owner, corpus=corpus, version=1, note="no")
    assert isinstance(done, StoredVersion)
