"""A small bank with forty answers in forty documents, sealed into releases that tests make better or worse."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from pilotage.adapters.keyring import Keyring
from pilotage.app import joined_serving, retriever_parts
from pilotage.control.driven_run import Driven
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.evaluation_drive import Scoring, Watch
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.run_evaluation import drive_run
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.core.canonical import parse_json
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName, PersonId, SpaceName
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.run import EvaluationRun, RunKind
from pilotage.identity.principal import Principal
from pilotage.release.generation import GenerationRequest, Model
from pilotage.serving.evaluation_indexes import SuiteRetrievers
from pilotage.serving.evaluation_target import LaidOver, ServingTarget, ServingTargets
from pilotage.serving.routing import Release
from pilotage.store.evaluation_runs import result_of
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.principals import local_principal

TEMPLATE = Path(__file__).resolve().parents[2] / "src" / "pilotage" / "templates" / "minimal"
PLACES = (
    "Ashford",
    "Birchwood",
    "Calder",
    "Dunmore",
    "Elmstead",
    "Farley",
    "Garston",
    "Hartwell",
    "Ingram",
    "Jarrow",
    "Kelso",
    "Linton",
    "Marlow",
    "Newbury",
    "Oakham",
    "Penrith",
    "Quorn",
    "Redcar",
    "Selby",
    "Thirsk",
    "Upton",
    "Verwood",
    "Whitby",
    "Yarm",
    "Alnwick",
    "Bewdley",
    "Corbridge",
    "Driffield",
    "Evesham",
    "Frome",
)
HANDBOOK, WORKFLOW = CorpusName("handbook"), "assistant"
EVALUATION = """personas:
  - {name: lender, groups: [staff, lending]}
  - {name: clerk, groups: [staff]}
scorers: [key_fact_recall, refusal_correct, citation_recall_gold, citation_validity, answer_accuracy]
thresholds: {answer_accuracy: 0.80}
margins: {answer_accuracy: 0.10, citation_recall_gold: 0.10}
"""


def facts() -> dict[str, tuple[str, int]]:
    """Return the document of each fact with its question's place and amount."""
    named = [(place, kind) for place in PLACES for kind in ("locker", "parking")]
    return {
        f"{place.lower()}-{kind}.md": (f"{place} {kind}", 40 + number) for number, (place, kind) in enumerate(named)
    }


@dataclass
class World:
    """One instance over a folder; `clock` does not move by itself."""

    instance: Instance
    clock: SimulatedClock

    @property
    def root(self) -> Path:
        return self.instance.root

    def person(self, name: str) -> Principal:
        return local_principal(self.instance.workspace, PersonId(name))

    def reload(self) -> None:
        """Read the folder again."""
        self.instance = replace(self.instance, workspace=load_workspace(self.root))

    def write(self, path: str, body: str) -> None:
        (self.root / path).write_text(body, encoding="utf-8")
        self.reload()

    def restore(self, *, max_tokens: int = 1024) -> None:
        """Write the workflow as it was at first, on the first version of the handbook."""
        shutil.copy(TEMPLATE / "workflows/assistant/prompt.md", self.root / "workflows/assistant/prompt.md")
        self.write("workflows/assistant/model.yaml", f"provider: extractive\nmax_tokens: {max_tokens}\n")
        self.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook@1}\ntop_k: 5\n")

    def write_fact(self, document: str, name: str, amount: int) -> None:
        body = f"# {name.title()}\n\nThe {name} fee is {amount} dollars a month for every employee of the branch.\n"
        (self.root / "corpora/handbook/documents" / document).write_text(body, encoding="utf-8")

    def publish(self) -> None:
        """Refresh the handbook and accept what changed."""
        self.reload()
        done = refresh_corpus(
            self.instance, actor=self.person("ben"), corpus=HANDBOOK, source=None, accept=True, tools=RefreshTools()
        )
        assert isinstance(done, RefreshResult), done

    def seal(self) -> Digest:
        done = seal_release(self.instance, actor=self.person("ada"), workflow=WORKFLOW)
        assert isinstance(done, Sealed), done
        return done.digest

    def start(self, release: Digest, kind: RunKind = RunKind.EVALUATION, **request: object) -> EvaluationRun:
        asked = EvaluationRequest(release=release, kind=kind, **request)  # type: ignore[arg-type]
        run = start_evaluation(self.instance, actor=self.person("ada"), request=asked)
        assert isinstance(run, EvaluationRun), run
        return run

    def result(self, run: str) -> Mapping[str, object]:
        with self.instance.engine.connect() as connection:
            stored = result_of(connection, run)
        assert stored is not None
        body = parse_json(stored.body)
        assert isinstance(body, Mapping)
        return body

    def forget_answers(self) -> None:
        """Empty both caches, so that the next run asks everything again."""
        with self.instance.engine.begin() as connection:
            connection.execute(text("DELETE FROM evaluation_generation"))

    async def evaluate(self, release: Digest, means: Bent | None = None, **request: object) -> Driven:
        """Start a run and take it to its end."""
        run = self.start(release, **request)  # type: ignore[arg-type]
        return await self.drive(run.id, means)

    async def drive(self, run: str, means: Bent | None = None) -> Driven:
        means = means or Bent()
        async with self.targets(means) as targets:
            return await drive_run(self.instance, run, targets, means.watch or Watch(), scoring=means.scoring)

    @asynccontextmanager
    async def targets(self, means: Bent) -> AsyncIterator[ServingTargets]:
        async with joined_serving(self.instance, {}) as (running, indexes):
            parts = retriever_parts(self.instance, indexes, running.pool)
            laid: LaidOver = SuiteRetrievers(parts, self.instance.engine)

            async def load(digest: Digest) -> Release:
                found = await running.load(digest)
                return found if means.model is None else replace(found, model=means.model(found))

            overlaid = laid if means.overlaid is None else means.overlaid(laid)
            yield BentTargets(running.serving, self.instance.engine, load=load, overlaid=overlaid, means=means)


@dataclass(frozen=True, kw_only=True)
class Bent:
    """What a test changes on the way: the model of a release, the retrievers of suites, what an index holds."""

    model: Callable[[Release], Model] | None = None
    overlaid: Callable[[LaidOver], LaidOver] | None = None
    only: Callable[[Digest], frozenset[int] | None] = lambda _release: None
    scoring: Scoring | None = None
    watch: Watch | None = None


class BentTargets(ServingTargets):
    """Targets with a planted defect."""

    def __init__(self, *given: object, means: Bent, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self._means = means

    async def open(
        self, release: Digest, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
    ) -> ServingTarget:
        """Open a release with what the test plants."""
        return await super().open(release, space, overlay, self._means.only(release) if only is None else only)


class _Moving:
    """A clock that moves a second whenever somebody looks at it."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        self._clock.advance(timedelta(seconds=1))
        return self._clock.now()


async def drive_ticking(world: World, run: str, bent: Bent) -> Driven:
    """Drive a run while the clock moves with every look at it, so that retries come due."""
    still = world.instance
    world.instance = replace(still, clock=_Moving(world.clock))
    try:
        return await world.drive(run, bent)
    finally:
        world.instance = still


def make_world(engine: Engine, folder: Path, *, cases: int = 40) -> World:
    """Return a world whose handbook is published; nothing is sealed yet."""
    root = folder / "bank"
    shutil.copytree(TEMPLATE, root)
    world = World(instance=_instance(engine, root, folder / "home"), clock=SimulatedClock())
    world.instance = replace(world.instance, clock=world.clock)
    documents = root / "corpora/handbook/documents"
    acl = documents / "acl.yaml"
    acl.write_text(acl.read_text() + "".join(f'"*-{kind}.md": [group:staff]\n' for kind in ("locker", "parking")))
    rows = []
    for document, (name, amount) in list(facts().items())[:cases]:
        world.write_fact(document, name, amount)
        expect = {"facts": [f"{amount} dollars"], "citations": [document]}
        rows.append(
            {
                "id": document.removesuffix(".md"),
                "question": f"What is the {name} fee?",
                "as": "clerk",
                "expect": expect,
            }
        )
    (root / "workflows/assistant/golden/first.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "workflows/assistant/evaluation.yaml").write_text(EVALUATION)
    world.reload()
    world.publish()
    return world


def _instance(engine: Engine, root: Path, home: Path) -> Instance:
    home.mkdir(parents=True)
    return Instance(
        workspace=load_workspace(root),
        root=root,
        home=home,
        engine=engine,
        clock=SimulatedClock(),
        keyring=Keyring.open(home, dict(os.environ), create=True),
        embedded=False,
    )


def quoting(request: GenerationRequest) -> str:
    """Answer as a model that obeys its prompt: it cites where the prompt asks for it."""
    if not request.passages:
        return "The documents do not say."
    first = request.passages[0]
    sentence = first.text.strip().splitlines()[-1]
    return f"{sentence} [{first.marker}]" if "Cite each passage" in request.messages[0].content else sentence
