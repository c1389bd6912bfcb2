"""A document that was used everywhere is taken down: no byte of it is left in the home, and no version is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.app import Joined
from pilotage.cli.runtime import Question
from pilotage.cli.workspace import write_template
from pilotage.control.corpus_reports import list_versions
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.give_feedback import Rating, give_feedback
from pilotage.control.instance import Instance
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_verify import verify_ledger
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.control.verify_release import verify_release
from pilotage.core.ids import CorpusName, PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.ledger.verify import Verdict, Verification
from pilotage.workspace.principals import local_principal

pytestmark = pytest.mark.store
HANDBOOK, COPY = CorpusName("handbook"), CorpusName("handbook-copy")
VERSIONS = 10
WORD = "quetzalcoatlish"
"""Stands in no other text of this machine's home: in the index it is a word of the vocabulary."""
SAID = "The {word} quota of the Dunmore branch in edition {edition} is seventeen umbrellas and four kettles."
QUESTION = "How many umbrellas and kettles is the quota of the Dunmore branch?"
MARKERS = (WORD.encode(), b"seventeen umbrellas and four kettles", b"Zebrastripe heading")


@pytest.fixture
def bank(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """A small bank with an embedded database of its own, and a corpus derived from its handbook."""
    folder = open_folder / "planted"
    write_template("minimal", folder / "bank")
    documents = folder / "bank/corpora/handbook/documents"
    acl = documents / "acl.yaml"
    acl.write_text(acl.read_text() + '"zebra.md": [group:lending]\n"news-*.md": [group:staff]\n')
    (folder / "bank/corpora/handbook-copy").mkdir()
    (folder / "bank/corpora/handbook-copy/corpus.yaml").write_text(
        "derived_from: handbook\nowner: ada\nsteward: ben\nclassification: internal\nregion: local\n"
        "data_stage: uat\nreview: single\n"
    )
    golden = folder / "bank/workflows/assistant/golden/first.jsonl"
    case = f'{{"id": "quota", "question": "{QUESTION}", "as": "lender", "expect": {{"facts": ["Dunmore"]}}}}'
    golden.write_text(f"{golden.read_text()}{case}\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with open_instance(Opening(start=folder / "bank", environ={"PILOTAGE_HOME": str(folder / "home")})) as instance:
        yield instance


def person(instance: Instance, name: str) -> Principal:
    return local_principal(instance.workspace, PersonId(name))


def refreshed(instance: Instance, corpus: CorpusName) -> RefreshResult:
    tools = Joined().refresh_tools(instance, lambda _done, _total: None)
    done = refresh_corpus(instance, actor=person(instance, "ben"), corpus=corpus, accept=True, tools=tools)
    assert isinstance(done, RefreshResult)
    return done


def publish(instance: Instance, edition: int) -> None:
    """One more version: something new in each, and a new text of the marked document in every third."""
    documents = instance.root / "corpora/handbook/documents"
    (documents / f"news-{edition}.md").write_text(f"# News {edition}\n\nThe canteen opens at {edition} o'clock.\n")
    said = SAID.format(word=WORD, edition=edition - edition % 3)
    (documents / "zebra.md").write_text(f"# Zebrastripe heading\n\n{said}\n")
    assert refreshed(instance, HANDBOOK).state == "accepted"


def asked(instance: Instance, who: str) -> dict[str, Any]:
    return Joined().ask(instance, person(instance, who), Question(workflow="assistant", text=QUESTION))


def used_everywhere(instance: Instance) -> str:
    """Answer, rate, correct, evaluate and derive from the document; return the release that did."""
    sealed = seal_release(instance, actor=person(instance, "ada"), workflow="assistant")
    assert isinstance(sealed, Sealed)
    answer = asked(instance, "ada")
    assert WORD in answer["answer"]
    hidden = asked(instance, "ben")  # may not read it, and was told of it elsewhere
    assert hidden["refused"]
    for name, interaction in (("ada", answer["interaction"]), ("ben", hidden["interaction"])):
        give_feedback(
            instance,
            actor=person(instance, name),
            interaction=interaction,
            rating=Rating.DOWN,
            redact=Joined().redact(instance),
            comment=f"It forgets the {WORD} part.",
            correction=SAID.format(word=WORD, edition=9),
        )
    run = start_evaluation(instance, actor=person(instance, "ada"), request=EvaluationRequest(release=sealed.digest))
    assert not isinstance(run, Refusal)
    Joined().drive(instance, run.id, lambda _progress: None)
    return sealed.digest


def files_with(folder: Path) -> dict[str, list[bytes]]:
    found = {
        str(path.relative_to(folder)): [marker for marker in MARKERS if marker in path.read_bytes()]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {name: markers for name, markers in found.items() if markers}


def rows_with(instance: Instance) -> list[str]:
    """Return the tables that hold a marker in any row, compressed or not."""
    with instance.engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        return [
            name
            for name in sorted(names)
            for row in connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()
            if any(marker.decode() in row or marker.hex() in row for marker in MARKERS)
        ]


def taken_down(instance: Instance, document: str) -> TakedownResult:
    request = TakedownRequest(corpus=HANDBOOK, document=document, reason="A mistake.", wait=True)
    gone = take_down(instance, actor=person(instance, "ben"), request=request)
    assert isinstance(gone, TakedownResult)
    return gone


def what_is_left_is_told(instance: Instance) -> None:
    """A copy that nobody knows of: the file is named, the purge has failed, people are called."""
    stray = instance.home / "stray.txt"
    stray.write_text("The canteen opens at 3 o'clock.")
    gone = taken_down(instance, "news-3.md")
    stray.unlink()
    assert gone.proof is not None
    assert (gone.state, gone.is_purged, gone.proof["files_with_hits"]) == ("purge_failed", False, ["stray.txt"])
    with instance.engine.connect() as connection:
        query = "SELECT workflow, space, severity, summary FROM incident ORDER BY workflow"
        found, copied = connection.execute(text(query)).all()
        kinds = connection.execute(text("SELECT kind FROM ledger_entry WHERE subject = :id"), {"id": gone.takedown})
        assert set(kinds.scalars()) == {"takedown.requested", "takedown.failed"}
    assert tuple(found)[:3] == ("assistant", "sandbox", "SEV2")
    assert tuple(copied)[:3] == ("handbook-copy", "", "SEV2")  # nobody's workflow reads the derived copy
    assert "stray.txt" in found.summary


def test_planted_marker(bank: Instance) -> None:
    for edition in range(1, VERSIONS + 1):
        publish(bank, edition)
    assert refreshed(bank, COPY).state == "accepted"
    digest = used_everywhere(bank)
    before = list_versions(bank, corpus=HANDBOOK).versions
    held = set(rows_with(bank))
    assert held >= {"chunk_text_handbook", "chunk_text_handbook-copy", "interaction_text", "feedback"}
    assert held >= {"evaluation_generation", "golden_candidate", "ledger_disclosure"}
    assert files_with(bank.home)

    gone = taken_down(bank, "zebra.md")
    assert (gone.state, gone.versions_affected) == ("purged", tuple(range(1, VERSIONS + 1)))
    assert gone.derived == ("handbook-copy/zebra.md",)
    assert gone.proof is not None
    assert (gone.proof["hits"], gone.proof["state"]) == (0, "purged")
    assert rows_with(bank) == []
    assert files_with(bank.home) == {}

    no_version_is_lost(bank, before, digest)
    assert asked(bank, "ada")["refused"] is True
    with bank.engine.connect() as connection:
        query = "SELECT state, blocked_by, row->>'question' LIKE '[removed: takedown %' FROM golden_candidate"
        candidates = [tuple(row) for row in connection.execute(text(query))]
    assert candidates == [("blocked", "taken_down", True)] * 2
    what_is_left_is_told(bank)


def no_version_is_lost(instance: Instance, before: Any, digest: str) -> None:
    after = list_versions(instance, corpus=HANDBOOK).versions
    assert [(one.number, one.state, one.digest) for one in after] == [
        (one.number, one.state, one.digest) for one in before
    ]
    for edition in range(1, VERSIONS + 1):
        wanted = Search(question=f"canteen opens {edition} o'clock", version=edition)
        found = search_corpus(instance, actor=person(instance, "ada"), corpus=HANDBOOK, wanted=wanted)
        assert f"news-{edition}.md" in {passage.document for passage in found}
    assert verify_release(instance, digest).is_verified
    ledger = verify_ledger(instance)
    assert isinstance(ledger, Verification)
    assert ledger.verdict is Verdict.VERIFIED
    assert fsck_ledger(instance).findings == ()
