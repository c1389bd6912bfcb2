"""A pinned version that cannot be sealed is told with where the accepted ones are listed."""

from __future__ import annotations

from pilotage.control.draft_release import _not_accepted
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.settings import CorpusRef


def test_a_version_that_is_not_accepted_is_told_by_its_number() -> None:
    name = CorpusName("rules")
    pinned = _not_accepted(DataStage.UAT, CorpusRef(name=name, version=99)).text
    assert pinned.startswith("rules@99 is no accepted version to seal for uat spaces. Write the number of an accepted")
    assert pinned.endswith("`pilotage corpus versions rules` lists them.")
    newest = _not_accepted(DataStage.UAT, CorpusRef(name=name)).text
    assert newest.endswith("Run `pilotage corpus refresh` and accept.")
