"""The composition root: the only place that joins adapters to rooms.

`pilotage/cli/started.py` loads it when a command asks or serves. Serving is put together here from guard, indexes,
store and gateway; the worker from schedules and handlers. Fail mode: what cannot be joined at start ends the process
with its message and exit code 4.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import uvloop
from psycopg_pool import AsyncConnectionPool

from pilotage.adapters.identity_providers.open_oidc import open_verifier, provider_sign_in
from pilotage.adapters.models.registry import ModelParts
from pilotage.api.app import Api
from pilotage.api.operation import Services as ApiServices
from pilotage.cli.runtime import Question
from pilotage.console.app import CONCURRENT as PAGES_AT_ONCE
from pilotage.console.app import Console
from pilotage.console.asking import PipelineAsking
from pilotage.console.live import READERS
from pilotage.console.visit import Services
from pilotage.control.driven_run import Driven
from pilotage.control.evaluation_drive import Watch
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import prepare_ledger_key
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.replay_questions import ReplayTools, replay_questions
from pilotage.control.run_evaluation import drive_run
from pilotage.core.errors import Unavailable
from pilotage.core.ids import InteractionId, SpaceName, WorkflowName, new_ulid
from pilotage.evaluation.run import Progress
from pilotage.gateway.answers import complete_body
from pilotage.gateway.app import Application, Gateway, Receive, Scope, Send
from pilotage.gateway.chat import Chat
from pilotage.gateway.feedback import Feedback
from pilotage.gateway.health import Health
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.gateway.server import bind, make_server
from pilotage.gateway.states import StoreState
from pilotage.guard.first_pass import FIRST_PASS
from pilotage.identity.principal import Principal
from pilotage.jobs.parent_watch import end_with_parent
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.jobs.schedules import make_registry
from pilotage.jobs.worker import run_worker
from pilotage.jobs.worker_process import WorkerProcess
from pilotage.release.content import ReleaseContent
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.context import Answer, Asked, Known, Peer, Received, Turn
from pilotage.serving.ending import end
from pilotage.serving.evaluation_indexes import SuiteRetrievers
from pilotage.serving.evaluation_target import ServingTargets
from pilotage.serving.guarding import PolicyGuard, extract_answer, inspect_document, redact_for_storage, uat_redaction
from pilotage.serving.holdings import held_by
from pilotage.serving.indexes import Indexes
from pilotage.serving.opened import OpenServing, ServingParts, open_serving
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.serving.run import Finished
from pilotage.serving.told import answer_record, error_of
from pilotage.serving.uploads import Uploads
from pilotage.store.engine import check_listening, make_engine, psycopg_url, url_of
from pilotage.store.index_build import index_folder
from pilotage.store.notify import Channel, Heard
from pilotage.store.serving_facts import store_facts
from pilotage.store.serving_pool import make_pool

logger = logging.getLogger("pilotage")

_PAGE_TIMEOUT_MS = 2_000


def _loaded(running: OpenServing) -> list[ReleaseContent]:
    return [one.content for one in running.routing.current.releases.values()]


@asynccontextmanager
async def joined_serving(
    instance: Instance, environ: dict[str, str], *, has_shadow: bool = False
) -> AsyncIterator[tuple[OpenServing, Indexes]]:
    """Run the serving path of this process while the block lasts; `has_shadow` with its shadow arm."""
    url = url_of(instance.engine)
    cache, folder = AnswerCache(), index_folder(instance.workspace, instance.home)
    indexes = Indexes(instance.engine, instance.workspace.corpora, folder, moved=cache.moved)
    pool = make_pool(psycopg_url(url))

    async def heard(message: Heard | None) -> None:
        if message is None:
            indexes.wake()
        elif message.channel is Channel.CORPUS:
            indexes.hear(message.payload)

    # Compiling takes seconds where no form is kept yet: before anybody is answered, never inside a request.
    await asyncio.to_thread(FIRST_PASS, "")
    async with open_verifier(instance.workspace, instance.clock) as tokens, pool:
        parts = ServingParts(
            workspace=instance.workspace,
            engine=instance.engine,
            url=url,
            clock=instance.clock,
            keyring=instance.keyring,
            models=ModelParts(extract=extract_answer, root=instance.root),
            guard=PolicyGuard(instance.workspace, instance.keyring),
            retriever=StoreRetriever(retriever_parts(instance, indexes, pool)),
            reply_body=complete_body,
            tokens=tokens,
            listen_url=environ.get("DATABASE_LISTEN_URL"),
            prepare=indexes.prepare,
            indexed=indexes.can_search,
            corpus_held=held_by(indexes.snapshot, indexes.refusal),
            heard=heard,
            resync=lambda: heard(None),
            has_shadow=has_shadow,
            cache=cache,
        )
        async with open_serving(parts) as running:
            watching = asyncio.create_task(indexes.run(lambda: _loaded(running)), name="indexes")
            try:
                yield running, indexes
            finally:
                await end(watching)


def retriever_parts(instance: Instance, indexes: Indexes, pool: AsyncConnectionPool) -> RetrieverParts:
    """Join what the retrievers of a process share."""
    return RetrieverParts(workspace=instance.workspace, indexes=indexes, pool=pool, clock=instance.clock)


def make_console(instance: Instance, running: OpenServing, pipeline: Pipeline, uploads: Uploads) -> Console:
    """Join the console over a running serving path. Its pages read with an engine that gives up after 2 s."""
    size = PAGES_AT_ONCE + 2 * READERS
    reading = make_engine(url_of(instance.engine), pool_size=size, statement_timeout_ms=_PAGE_TIMEOUT_MS)
    services = Services(
        instance=instance,
        reading=replace(instance, engine=reading),
        redact=redact_for_storage(instance.keyring),
        asking=PipelineAsking(serving=running.serving, pipeline=pipeline),
        ports=rollout_ports(),
        provider=provider_sign_in(instance.workspace, instance.clock, instance.root),
    )
    return Console(services, uploads=uploads)


def make_api_services(instance: Instance) -> ApiServices:
    """Join what the control API's operations need."""
    return ApiServices(
        instance=instance,
        redact=redact_for_storage(instance.keyring),
        refresh_tools=lambda one: Joined().refresh_tools(one, lambda _done, _total: None),
        ports=rollout_ports(),
    )


def beside(console: Application, api: Application) -> Application:
    """Return an application that gives `/api/` to the API and everything else to the console."""

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        await (api if scope["path"].startswith("/api/") else console)(scope, receive, send)

    return chosen


def make_gateway(instance: Instance, running: OpenServing, metrics: GatewayMetrics, pipeline: Pipeline) -> Gateway:
    """Join the gateway over a running serving path, with the console behind it."""
    serving, uploads = running.serving, Uploads()
    return Gateway(
        serving,
        chat=Chat(serving=serving, pipeline=pipeline),
        feedback=Feedback(
            serving=serving, instance=instance, metrics=metrics, redact=redact_for_storage(instance.keyring)
        ),
        health=Health(
            metrics=metrics,
            peers=instance.workspace.gateway.health_peers,
            checks={"serving": running.against},
            spaces=running.checks.spaces,
        ),
        fallback=beside(
            make_console(instance, running, pipeline, uploads),
            Api(make_api_services(instance), serving.authenticator, instance.clock, uploads=uploads),
        ),
    )


@dataclass(frozen=True, slots=True)
class Joined:
    """`cli.runtime.Runtime`: what the commands need from all rooms together."""

    def ask(self, instance: Instance, actor: Principal, question: Question) -> dict[str, Any]:
        """Answer in this process, through the same pipeline as HTTP."""
        result = asyncio.run(_ask(instance, actor, question))
        if isinstance(result, Refusal):
            raise error_of(result, hint=_hint(instance, question, result.code))
        return answer_record(result)

    def drive(self, instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
        """Take an evaluation run to its end, or as far as a signal lets it."""
        return asyncio.run(_drive(instance, run, progress))

    def serve(self, opening: Opening, *, host: str, port: int, with_worker: bool) -> None:
        """Serve until a signal."""
        _end_on_signals()
        with ExitStack() as stack:
            sockets = [stack.enter_context(one) for one in bind(host, port)]
            instance = stack.enter_context(open_instance(opening))
            if opening.url is not None:
                check_listening(opening.environ.get("DATABASE_LISTEN_URL") or opening.url)
            require_ledger_key(instance)
            worker = WorkerProcess(instance, dict(opening.environ)) if with_worker else None
            try:
                if worker is not None:
                    worker.start()
                said = f"Serving {instance.workspace.organisation} on http://{host}:{port}"
                uvloop.run(_serve(instance, opening, sockets, said))
            finally:
                if worker is not None:
                    worker.stop()

    def work(self, opening: Opening) -> None:
        """Run jobs until a signal."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        end_with_parent(opening.environ, stop)
        with open_instance(opening) as instance:
            require_ledger_key(instance)
            registry = make_registry(
                lambda one: self.refresh_tools(one, lambda _done, _total: None),
                drive=lambda one, run: asyncio.run(_drive_job(one, run, stop)),
                replay=lambda one, rollout: asyncio.run(_replay_job(one, rollout, stop)),
            )
            run_worker(instance, registry, stop, listen_url=opening.environ.get("DATABASE_LISTEN_URL"))

    def refresh_tools(self, instance: Instance, progress: Callable[[int, int | None], None]) -> RefreshTools:
        """Return what refreshes look documents over with."""
        return RefreshTools(inspect=inspect_document, redact=uat_redaction(instance.keyring), progress=progress)

    def redact(self, instance: Instance) -> Callable[[str], str]:
        """Return the redaction of stored text."""
        return redact_for_storage(instance.keyring)


def require_ledger_key(instance: Instance) -> None:
    """Refuse to start with a ledger that cannot be signed: what happens must be provable from the first second."""
    refusal = prepare_ledger_key(instance)
    if refusal is not None:
        reason = refusal.reasons[0]
        raise Unavailable(reason.code, reason.text, hint="See `pilotage ledger fsck`.")


async def _ask(instance: Instance, actor: Principal, question: Question) -> Answer | Refusal:
    async with joined_serving(instance, dict(os.environ)) as (running, _):
        now = instance.clock.now()
        received = Received(
            interaction=InteractionId(new_ulid(now)),
            at=now,
            started=running.serving.monotonic(),
            peer=Peer(address=None),
            credential=Known(principal=actor),
            asked=Asked(
                workflow=WorkflowName(question.workflow),
                messages=(Turn(role="user", text=question.text),),
                space=None if question.space is None else SpaceName(question.space),
                as_of=question.as_of,
            ),
        )
        result = (await Pipeline(running.serving).answer(received)).result
    if isinstance(result, Answer | Refusal):
        return result
    raise Unavailable("INTERNAL", "The question got no answer.", hint="Look at the log of this command.")


async def _drive(instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
    watch = Watch(progress=progress)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, watch.stop.set)
    return await _drive_watched(instance, run, watch)


async def _drive_job(instance: Instance, run: str, stop: threading.Event) -> Driven:
    """Drive a run in a worker's thread until the worker ends."""
    watch = Watch(by_person=False)

    async def follow() -> None:
        while not stop.is_set():  # noqa: ASYNC110 - an event of threads, looked at from a loop
            await asyncio.sleep(0.2)
        watch.stop.set()

    following = asyncio.create_task(follow())
    try:
        return await _drive_watched(instance, run, watch)
    finally:
        following.cancel()


@asynccontextmanager
async def _joined_targets(instance: Instance) -> AsyncIterator[ServingTargets]:
    async with joined_serving(instance, dict(os.environ)) as (running, indexes):
        overlaid = SuiteRetrievers(retriever_parts(instance, indexes, running.pool), instance.engine)
        targets = ServingTargets(running.serving, instance.engine, load=running.load, overlaid=overlaid)
        try:
            yield targets
        finally:
            await targets.close()


async def _drive_watched(instance: Instance, run: str, watch: Watch) -> Driven:
    async with _joined_targets(instance) as targets:
        return await drive_run(instance, run, targets, watch)


async def _replay_job(instance: Instance, rollout: str, stop: threading.Event) -> bool:
    """Replay a rollout's questions in a worker's thread until the worker ends; tell whether all are done."""
    redact = redact_for_storage(instance.keyring)
    async with _joined_targets(instance) as targets:
        tools = ReplayTools(targets=targets, redact=redact, is_stopping=stop.is_set)
        return await replay_questions(instance, rollout, tools)


def _hint(instance: Instance, question: Question, code: Code) -> str:
    match code:
        case Code.MODEL_NOT_FOUND:
            return unserved(instance, question.workflow)
        case Code.SPACE_NOT_FOUND:
            return f"Declared in spaces/: {', '.join(instance.workspace.spaces)}."
        case _:
            return ""


def unserved(instance: Instance, workflow: str) -> str:
    """Return what to do about a workflow that nothing serves: whoever asks here has its folder at hand."""
    declared = instance.workspace.workflows
    if workflow not in declared:
        return f"Declared here: {', '.join(declared) or 'none'}."
    return f"If nothing serves it yet, seal it: pilotage release seal {workflow}"


async def _serve(instance: Instance, opening: Opening, sockets: list[socket.socket], said: str) -> None:
    async with joined_serving(instance, dict(opening.environ), has_shadow=True) as (running, _):
        metrics = GatewayMetrics(running.serving, StoreState(lambda: store_facts(running.pool)))

        def finished(request: Finished) -> None:
            metrics.finished(request)
            running.shadow.take(request)

        pipeline = Pipeline(running.serving, on_finished=finished)
        gateway = make_gateway(instance, running, metrics, pipeline)

        def stop() -> None:
            pipeline.is_stopping = True

        server = make_server(gateway, instance.workspace.gateway.limits, on_stop=stop)
        opening.say(said)
        await server.serve(sockets)


def _end_on_signals() -> None:
    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
