"""One request from its arrival to its answer, used unchanged by `pilotage ask`, HTTP and evaluation.

authenticate -> locate -> admit -> route -> guard in -> retrieve -> compose -> generate -> guard out -> re-check ->
record -> answer. Each step takes the record of the one before; the first refusal ends the request and is recorded too.
Fail mode: an exception is `internal`, a deadline `deadline_exceeded`; neither ever releases text that was not checked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pilotage.serving.context import Admitted, Answer, Authenticated, Checked, Guarded, Received
from pilotage.serving.outcome import RequestOutcome, outcome_of, outcome_of_content
from pilotage.serving.outlet import StreamOutlet, is_held_until_checked
from pilotage.serving.refusal import STATUS, Code, Refusal, RefusedError
from pilotage.serving.refusal_tally import RefusalTally
from pilotage.serving.run import Finished, Result, Run, Sink
from pilotage.serving.service import Serving
from pilotage.serving.steps.admit import admit
from pilotage.serving.steps.authenticate import authenticate
from pilotage.serving.steps.compose import compose
from pilotage.serving.steps.cut_off import cut_off
from pilotage.serving.steps.generate import generate
from pilotage.serving.steps.guard_in import guard_in
from pilotage.serving.steps.guard_out import guard_out
from pilotage.serving.steps.locate import locate
from pilotage.serving.steps.once import claim_key, free_key, free_key_later, keep_answer
from pilotage.serving.steps.recheck import recheck
from pilotage.serving.steps.record import record, record_end
from pilotage.serving.steps.retrieve import retrieve
from pilotage.serving.steps.reuse import keep, keeps_answers, reuse
from pilotage.serving.steps.route import route
from pilotage.serving.steps.stop import is_stopped, stop
from pilotage.serving.under_way import UnderWay

logger = logging.getLogger(__name__)

_SETTLE_S = 0.1


class Pipeline:
    """Answers requests. `on_finished` is told of every one, also of those whose asker left.

    `is_stopping` is set when the process ends: what is cancelled then was not left by its asker.
    """

    def __init__(self, serving: Serving, *, on_finished: Callable[[Finished], None] | None = None) -> None:
        self._serving = serving
        self._on_finished = on_finished
        self._tally = RefusalTally()
        self._under_way = UnderWay(serving)
        self.is_stopping = False

    def reject(self, received: Received, refusal: Refusal) -> Finished:
        """Record a request that was refused before it could be understood."""
        return self._finish(Run(context=received), refusal)

    async def answer(self, received: Received, sink: Sink | None = None) -> Finished:
        """Answer one request. With a sink the text goes there; the answer that is returned always holds all of it."""
        run = Run(context=received, sink=sink)
        limits = self._serving.workspace.gateway.limits
        result: Result
        try:
            async with asyncio.timeout(limits.stream_s if received.asked.stream else limits.request_s) as deadline:
                self._under_way.add(run, deadline)
                try:
                    result = await self._steps(run)
                finally:
                    self._under_way.remove(run)
        except TimeoutError:
            result = run.withdrawn or _late() if deadline.expired() else _internal()
        except RefusedError as refused:
            result = refused.refusal
        except asyncio.CancelledError:
            self._left(run)
            raise
        except Exception:
            # The edge of the serving path: whatever went wrong, the asker gets a code and the log gets the trace.
            logger.exception("Interaction %s failed.", received.interaction)
            result = _internal()
        finally:
            if run.holds_slot and isinstance(run.context, Admitted):
                self._serving.slots.give_back(run.context.asker.principal.id)
            if run.streams_of is not None:
                self._serving.admissions.close_stream(run.streams_of)
        if isinstance(result, Refusal):
            await free_key(run, self._serving)
        return self._finish(run, result)

    async def _steps(self, run: Run) -> Result:
        serving = self._serving
        authenticated = await authenticate(run.context, serving)
        if isinstance(authenticated, Refusal):
            return authenticated
        run.context = authenticated
        located = await locate(authenticated, serving)
        if isinstance(located, Refusal):
            return located
        run.context = located
        admitted = await admit(located, serving)
        if isinstance(admitted, Refusal):
            return admitted
        run.context = admitted
        run.holds_slot = admitted.asked.stream
        claimed = await claim_key(admitted, run, serving)
        if claimed is not None:
            return claimed
        routed = await route(admitted, serving)
        if isinstance(routed, Refusal):
            return routed
        run.context = routed
        if routed.asked.stream:
            run.streams_of = (routed.place.row.space, routed.place.row.workflow, routed.release.digest)
            serving.admissions.open_stream(run.streams_of)
        self._mark(run, "admit")
        guarded = await guard_in(routed, serving)
        if isinstance(guarded, Refusal):
            return guarded
        run.context = guarded
        self._mark(run, "guard_in")
        checked = await (self._stopped if is_stopped(guarded) else self._checked)(run, guarded)
        return checked if isinstance(checked, Refusal) else await self._deliver(run, checked)

    async def _checked(self, run: Run, guarded: Guarded) -> Checked | Refusal:
        """Retrieve, generate and check; once more from the retrieval when permissions changed meanwhile.

        An answer that was given before spares all of it, where the release allows that.
        """
        given = await reuse(guarded, self._serving) if keeps_answers(guarded) else None
        if given is not None:
            return given if isinstance(given, Refusal) else await self._begun(run, given)
        checked = await self._rechecked(run, guarded)
        if isinstance(checked, Refusal) and checked.code is Code.PERMISSION_CHANGED and not run.has_started:
            # The index hears of the change at the same moment; without this pause the rerun could meet the old one.
            await asyncio.sleep(_SETTLE_S)
            checked = await self._rechecked(run, guarded)
        return checked

    async def _rechecked(self, run: Run, guarded: Guarded) -> Checked | Refusal:
        checked = await self._attempt(run, guarded)
        if isinstance(checked, Refusal):
            return checked
        return await recheck(checked, self._serving) or checked

    async def _attempt(self, run: Run, guarded: Guarded) -> Checked | Refusal:
        serving = self._serving
        retrieved = await retrieve(guarded, serving)
        if isinstance(retrieved, Refusal):
            return retrieved
        self._mark(run, "retrieve")
        if is_stopped(retrieved):
            return await self._stopped(run, retrieved)
        composed = await compose(retrieved, serving)
        run.context = composed
        outlet = None
        if run.sink is not None:
            await run.sink.begin(composed.release.digest)
            outlet = None if is_held_until_checked(composed) else StreamOutlet(composed, run, serving)
        generated = await generate(composed, serving, outlet)
        if isinstance(generated, Refusal):
            return generated
        run.context = generated
        refusal = await outlet.finish() if outlet is not None else None
        self._mark(run, "generate")
        checked = refusal or await guard_out(generated, serving)
        self._mark(run, "guard_out")
        return checked

    async def _stopped(self, run: Run, context: Guarded) -> Checked:
        """Answer a question that a check stopped, without the model."""
        return await self._begun(run, stop(context, self._serving))

    async def _begun(self, run: Run, checked: Checked) -> Checked:
        """Tell the stream of an answer that no model makes."""
        if run.sink is not None:
            await run.sink.begin(checked.release.digest)
        return checked

    async def _deliver(self, run: Run, checked: Checked) -> Answer | Refusal:
        answer = cut_off(checked, self._serving) or await record(checked, run, self._serving)
        if isinstance(answer, Refusal):
            return answer
        run.context, run.is_recorded = checked, True
        self._mark(run, "record")
        if keeps_answers(checked):
            keep(checked, self._serving)
        await keep_answer(answer, checked, run, self._serving)
        if run.sink is not None and not run.has_started:
            run.has_started = True
            await run.sink.send(answer.text)
        return answer

    def _mark(self, run: Run, stage: str) -> None:
        """Note that a stage has ended; one that is repeated stands where it ended last."""
        run.marks.pop(stage, None)
        run.marks[stage] = self._serving.elapsed_us(run.context.started)

    def _finish(self, run: Run, result: Result) -> Finished:
        outcome = RequestOutcome.OK
        if isinstance(result, Refusal):
            outcome = outcome_of(result.code, routed=run.release is not None, started=run.has_started)
            self._record_refusal(run, result, outcome)
        elif isinstance(result, Answer) and result.refusal is not None:
            outcome = outcome_of_content(result.refusal, result.findings)
        return self._told(run, result, outcome)

    def _record_refusal(self, run: Run, refusal: Refusal, outcome: RequestOutcome) -> None:
        """Record every refusal; those of unknown or forbidden askers are counted above 100 a minute."""
        is_single = True
        if STATUS[refusal.code] in {401, 403} or not isinstance(run.context, Authenticated):
            address = run.context.peer.address or ""
            is_single, counted = self._tally.count(address, refusal.code, at=self._serving.clock.now())
            for rows in counted:
                self._serving.recorder.offer(rows)
        if is_single:
            record_end(run.context, run, self._serving, outcome=outcome, code=refusal.code)

    def _left(self, run: Run) -> None:
        outcome = RequestOutcome.CLIENT_GONE
        if run.sink is not None and run.sink.is_slow:
            outcome = RequestOutcome.SLOW_CLIENT
        elif self.is_stopping:
            outcome = RequestOutcome.STREAM_ABORTED if run.has_started else RequestOutcome.SHED
        free_key_later(run, self._serving)
        record_end(run.context, run, self._serving, outcome=outcome, code=None)
        self._told(run, None, outcome)

    def _told(self, run: Run, result: Result | None, outcome: RequestOutcome) -> Finished:
        finished = Finished(
            result=result,
            outcome=outcome,
            context=run.context,
            total_us=self._serving.elapsed_us(run.context.started),
            stages=run.stages,
        )
        if self._on_finished is not None:
            self._on_finished(finished)
        return finished


def _late() -> Refusal:
    return Refusal(code=Code.DEADLINE_EXCEEDED, message="The answer took longer than this server allows.")


def _internal() -> Refusal:
    return Refusal(code=Code.INTERNAL, message="Something went wrong here. The interaction id names the record.")
