"""No space reads documents of another stage: by a missing pin, or by a corpus that changed its stage or is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.corpus.conftest import settings

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage
from pilotage.release.content import CorpusPin
from pilotage.release.stages import stage_problem
from pilotage.testing.serving_path import content, space

PROD, UAT = DataStage.PRODUCTION, DataStage.UAT
CORPORA = {CorpusName(name): settings(name, data_stage=stage) for name, stage in (("policies", PROD), ("copy", UAT))}


def pin(name: str) -> CorpusPin:
    return CorpusPin(name=CorpusName(name), version=1, digest=digest_of(b"1"), documents=1, chunks=1)


@pytest.mark.feature("D0.5", "D10.7")
@pytest.mark.parametrize("stage", list(DataStage))
@pytest.mark.parametrize("pinned", [(), (PROD,), (UAT,), (PROD, UAT)], ids=["none", "prod", "uat", "both"])
def test_a_space_reads_its_own_stage_or_is_told_why_not(stage: DataStage, pinned: tuple[DataStage, ...]) -> None:
    release = content(corpora={one: pin("policies" if one is PROD else "copy") for one in pinned})
    problem = stage_problem(release, replace(space(), data_stage=stage), CORPORA)
    assert (problem is None) == (not pinned or stage in pinned)


@pytest.mark.parametrize("stage", list(DataStage))
@pytest.mark.parametrize("kind", ["another stage today", "not declared any more"])
def test_what_a_pin_names_is_of_that_stage_today(stage: DataStage, kind: str) -> None:
    name = CorpusName("policies" if stage is PROD else "copy")
    other = UAT if stage is PROD else PROD
    changed = {**CORPORA, name: replace(CORPORA[name], data_stage=other)}
    today = changed if kind == "another stage today" else {key: one for key, one in CORPORA.items() if key != name}
    release = content(corpora={stage: pin(name)})
    assert stage_problem(release, replace(space(), data_stage=stage), today) is not None
