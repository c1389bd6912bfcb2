"""Assistant: the answer, with citations that open the passage.

Without JavaScript the form posts and the whole answer comes as a page; with it the same form is streamed and ends with
the same fragment. Rule: the pipeline decides everything. Fail mode: a plain sentence, the reference and the question
kept; never a trace.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

from markupsafe import Markup

from pilotage.console.guards import form_token
from pilotage.console.prose import render_answer, render_document
from pilotage.console.reply import Later, Page, Redirect, Reply, Send, Stream
from pilotage.console.visit import Visit
from pilotage.control.on_call_now import on_call_now
from pilotage.control.served_documents import ServedDocuments, served_documents
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.serving.context import Answer, Asked, Cited, Turn
from pilotage.serving.refusal import Code
from pilotage.serving.refusal import Refusal as ServingRefusal
from pilotage.serving.residency import fits_asker
from pilotage.serving.run import Finished
from pilotage.space.settings import Tier
from pilotage.store.own_questions import OwnQuestion, own_questions
from pilotage.workspace.workflow import HumanReview, Workflow

_RECENT: Final = timedelta(days=7)
_QUOTE_SHOWN: Final = 300
_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One question with what came of it. Exactly one of `answer` and `refusal` is set.

    `reviews`: the uses for which the answer is a draft until a person has reviewed it.
    """

    question: str
    interaction: str
    answer: Answer | None = None
    refusal: ServingRefusal | None = None
    html: Markup | None = None
    passages: Mapping[int, str] = field(default_factory=dict)
    reviews: Sequence[HumanReview] = ()


def show_first_workflow(visit: Visit) -> Reply:
    """Go to the assistant of the first workflow."""
    names = sorted(visit.instance.workspace.workflows)
    if not names:
        raise NotFound("WORKFLOW_NONE", "This workspace declares no workflow.", hint="Add workflows/<name>/.")
    return Redirect(to=f"/ask/{names[0]}")


def show_assistant(visit: Visit) -> Page:
    """Show the question form, three samples and the person's own recent questions."""
    return _page(visit, None)


def ask(visit: Visit) -> Reply:
    """Ask, as a stream for our script and as a whole page otherwise."""
    workflow = _workflow(visit)
    question = visit.typed("question").strip()
    limit = visit.instance.workspace.gateway.limits.message_code_points
    if not question:
        raise UsageError("QUESTION_EMPTY", "Write a question first.")
    if len(question) > limit:
        message = f"The question has {len(question):,} characters; at most {limit:,} are read."
        raise UsageError("QUESTION_TOO_LONG", message, hint="Nothing was asked; shorten it and ask again.")
    asked = Asked(
        workflow=WorkflowName(workflow.name),
        messages=(Turn(role="user", text=question),),
        space=SpaceName(visit.typed("space")) if visit.typed("space") else None,
        stream=visit.wants_events,
    )
    reviews = workflow.human_review
    return (
        Stream(run=_streaming(visit, asked, reviews))
        if visit.wants_events
        else Later(run=_whole(visit, asked, reviews))
    )


def _whole(visit: Visit, asked: Asked, reviews: Sequence[HumanReview]) -> Callable[[], Awaitable[Page]]:
    async def run() -> Page:
        finished = await visit.services.asking.ask(asked, principal=visit.actor, peer=visit.peer)
        told = told_of(asked.messages[-1].text, finished, reviews)
        return replace(_page(visit, told), status=200 if told.refusal is None else told.refusal.status)

    return run


def _streaming(visit: Visit, asked: Asked, reviews: Sequence[HumanReview]) -> Callable[[Send], Awaitable[None]]:
    async def run(send: Send) -> None:
        sink = _Sink(send)
        finished = await visit.services.asking.ask(asked, principal=visit.actor, peer=visit.peer, sink=sink)
        told = told_of(asked.messages[-1].text, finished, reviews)
        renderer = visit.renderer
        assert renderer is not None
        token = "" if visit.signed_in is None else form_token(visit.signed_in.token)
        await send("answer", renderer.part("_told.html", "told", told, token))

    return run


class _Sink:
    """Sends answer text as events, as JSON strings so that line ends survive."""

    is_slow = False

    def __init__(self, send: Send) -> None:
        self._send = send

    async def begin(self, release: Digest) -> None:
        """Tell the page that the question was admitted."""
        await self._send("begin", json.dumps(release))

    async def send(self, text: str) -> None:
        """Send one piece."""
        if text:
            await self._send("text", json.dumps(text))


def told_of(question: str, finished: Finished, reviews: Sequence[HumanReview] = ()) -> Told:
    """Return what a page shows of a finished question; an answer without a source is no draft of anything."""
    result = finished.result
    interaction = finished.context.interaction
    if isinstance(result, Answer):
        links = {one.marker: f"#c{one.marker}-{interaction}" for one in result.cited}
        passages = {one.marker: passage_address(one) for one in result.cited}
        html = render_answer(result.text, links)
        return Told(
            question=question,
            interaction=interaction,
            answer=result,
            html=html,
            passages=passages,
            reviews=reviews if result.cited else (),
        )
    refusal = result if isinstance(result, ServingRefusal) else _NO_ANSWER
    return Told(question=question, interaction=interaction, refusal=refusal)


_NO_ANSWER: Final = ServingRefusal(code=Code.INTERNAL, message="The question got no answer.")


def passage_address(cited: Cited) -> str:
    """Return where a citation leads: the passage, with the quoted words marked."""
    quoted = urlencode({"quote": cited.quote[:_QUOTE_SHOWN]})
    return f"/corpora/{quote(cited.corpus, safe='')}/passages/{cited.rev}/{cited.ordinal}?{quoted}"


def _page(visit: Visit, told: Told | None) -> Page:
    workflow = _workflow(visit)
    with visit.reading.engine.connect() as connection:
        recent = own_questions(connection, visit.actor.id, workflow.name, since=visit.now - _RECENT)
        documents = _documents(visit, served_documents(connection, visit.reading, workflow.name))
    guidance = workflow.sources.documents.get("documents/override-guidance.md", b"").decode("utf-8", "replace")
    first, rest = _first_lines(guidance)
    return Page(
        template="ask.html",
        title=workflow.title,
        values={
            "workflow": workflow,
            "told": told,
            "recent": _once(recent),
            "samples": _samples(workflow, visit.actor.groups),
            "documents": documents,
            "guidance": render_document(first) if first else None,
            "guidance_rest": render_document(rest) if rest else None,
            "contact": on_call_now(visit.instance.workspace, workflow, visit.now),
        },
    )


def _once(asked: Sequence[OwnQuestion]) -> list[OwnQuestion]:
    """Return each question once, as it was asked last; of those whose text is gone, every one."""
    seen: dict[str, OwnQuestion] = {}
    for one in asked:
        seen.setdefault(one.question or one.id, one)
    return list(seen.values())


def _workflow(visit: Visit) -> Workflow:
    name = visit.params["workflow"]
    found = visit.instance.workspace.workflows.get(WorkflowName(name))
    if found is None:
        known = ", ".join(sorted(visit.instance.workspace.workflows)) or "none"
        raise NotFound("WORKFLOW_UNKNOWN", f"There is no workflow {name[:80]!r}.", hint=f"Declared: {known}.")
    return found


def _samples(workflow: Workflow, groups: frozenset[str]) -> list[str]:
    """Return questions that a person of these groups should get an answer to."""
    personas = workflow.evaluation.personas
    fitting = [
        case.question
        for golden in workflow.golden
        for case in golden.cases
        if case.must_pass and not case.expect.refuse and not case.history and case.expect.facts
        if case.asker in personas and personas[case.asker].groups <= groups
    ]
    return fitting[:_SAMPLES]


def _documents(visit: Visit, found: Sequence[ServedDocuments]) -> list[ServedDocuments]:
    """Return what may answer this person, each version once: the default space, else all but a sandbox, else that."""
    spaces, default = visit.instance.workspace.spaces, visit.instance.workspace.gateway.default_space
    usable = [one for one in found if fits_asker(visit.actor.region, spaces[one.space])]
    real = [one for one in found if one.space == default]
    real = real or [one for one in usable if spaces[one.space].tier is not Tier.SANDBOX] or usable
    return list({(one.release, one.corpus, one.version): one for one in real}.values())


def _first_lines(guidance: str) -> tuple[str, str]:
    """Return what stands before the first part of a document, without its title, and the parts."""
    text = guidance.split("\n---\n", 1)[-1] if guidance.startswith("---\n") else guidance
    first, mark, rest = text.partition("\n## ")
    head = "\n".join(line for line in first.splitlines() if not line.startswith("# ")).strip()
    return head, f"## {rest}" if mark else ""
