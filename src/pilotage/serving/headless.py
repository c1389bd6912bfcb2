"""The serving path without a recorder: steps 2 to 8 for an asker we know already, on a release given by digest.

Evaluation, shadow and replay ask through it. Every step is the pipeline's own; only the routing table is fixed to one
release and nothing becomes an interaction, so KPIs, SLOs and rollout statistics never see it. Fail mode: the
pipeline's; a breach of the permission wall opens its incident here as well.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime

from pilotage.core.ids import InteractionId, SpaceName, new_ulid
from pilotage.identity.principal import Principal, acl_names
from pilotage.serving.context import Asked, Asker, Authenticated, Checked, Composed, Guarded, Known, Peer, Received
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.routing import Release, RoutingRow, RoutingTable
from pilotage.serving.service import Serving
from pilotage.serving.steps.admit import admit
from pilotage.serving.steps.compose import compose
from pilotage.serving.steps.extend import extend
from pilotage.serving.steps.generate import generate
from pilotage.serving.steps.guard_in import guard_in
from pilotage.serving.steps.guard_out import guard_out
from pilotage.serving.steps.locate import locate
from pilotage.serving.steps.recheck import recheck
from pilotage.serving.steps.retrieve import retrieve
from pilotage.serving.steps.route import route
from pilotage.serving.steps.stop import is_stopped, stop
from pilotage.space.settings import Hardware, RecordMode, Scaling, Space, Tier

logger = logging.getLogger(__name__)

HEADLESS = SpaceName("evaluation")
_PSEUDONYM = "p_evaluation"
_SETTLE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRouting:
    """A routing table with one row that never moves."""

    current: RoutingTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """How far a request came: the record of its last step and, unless that is `Checked`, why it ended."""

    context: Received
    refusal: Refusal | None
    total_us: int


def headless_space(release: Release) -> Space:
    """Return the place of a run that names no space: no rules of its own, UAT documents where the release has them."""
    return Space(
        name=HEADLESS,
        tier=Tier.SANDBOX,
        data_stage=release.content.headless_stage,
        hardware=Hardware(vcpu=1, memory_bytes=2**30),
        scaling=Scaling(min_instances=1, max_instances=1),
        record_mode=RecordMode.ASYNC,
        soak_s=0,
    )


class HeadlessPath:
    """One release in one space, asked by principals that code of ours made."""

    def __init__(self, serving: Serving, release: Release, space: Space) -> None:
        workflow = release.content.workflow
        row = RoutingRow(space=space.name, workflow=workflow, generation=0, stable=release.digest)
        table = RoutingTable(
            rows={(space.name, workflow): row}, releases={release.digest: release}, confirmed_at=float("inf")
        )
        workspace = replace(serving.workspace, spaces={**serving.workspace.spaces, space.name: space})
        self.serving = replace(serving, table=FixedRouting(current=table), workspace=workspace)
        self.release = release
        self.space = space

    async def ask(self, principal: Principal, asked: Asked, *, is_answered: bool = True) -> Walked:
        """Walk the steps for a principal of evaluation, or only as far as the prompt."""
        asker = Asker(
            principal=principal,
            acl_names=acl_names(principal),
            pseudonym=_PSEUDONYM,
            via=principal.via,
            kind=TrafficKind.SYNTHETIC,
        )
        now = self.serving.clock.now()
        return await self.ask_as(
            asker, asked, interaction=InteractionId(new_ulid(now)), at=now, is_answered=is_answered
        )

    async def ask_as(
        self, asker: Asker, asked: Asked, *, interaction: InteractionId, at: datetime, is_answered: bool = True
    ) -> Walked:
        """Walk the steps for an asker as of a moment; never raises for one question."""
        serving = self.serving
        received = Received(
            interaction=interaction,
            at=at,
            started=serving.monotonic(),
            peer=Peer(address=None),
            credential=Known(principal=asker.principal, kind=asker.kind),
            asked=replace(asked, space=self.space.name),
        )
        try:
            async with asyncio.timeout(serving.workspace.gateway.limits.request_s):
                context, refusal = await self._walk(received, asker, is_answered=is_answered)
        except TimeoutError:
            context, refusal = received, Refusal(code=Code.DEADLINE_EXCEEDED, message="The answer took too long.")
        except Exception:
            # The edge of the path, as in the pipeline: one broken case must not end a run.
            logger.exception("Question %s of %s traffic failed.", received.interaction, asker.kind)
            context, refusal = received, Refusal(code=Code.INTERNAL, message="Something went wrong.")
        return Walked(context=context, refusal=refusal, total_us=serving.elapsed_us(received.started))

    async def _walk(self, received: Received, asker: Asker, *, is_answered: bool) -> tuple[Received, Refusal | None]:
        authenticated = extend(received, Authenticated, asker=asker)
        located = await locate(authenticated, self.serving)
        if isinstance(located, Refusal):
            return authenticated, located
        admitted = await admit(located, self.serving)
        if isinstance(admitted, Refusal):
            return located, admitted
        routed = await route(admitted, self.serving)
        if isinstance(routed, Refusal):
            return admitted, routed
        guarded = await guard_in(routed, self.serving)
        if isinstance(guarded, Refusal):
            return routed, guarded
        if is_stopped(guarded):
            return stop(guarded, self.serving), None
        attempt = self._attempt if is_answered else self._shown
        context, refusal = await attempt(guarded)
        if refusal is not None and refusal.code is Code.PERMISSION_CHANGED:
            await asyncio.sleep(_SETTLE_S)
            context, refusal = await attempt(guarded)
        return context, refusal

    async def _shown(self, guarded: Guarded) -> tuple[Composed | Guarded, Refusal | None]:
        retrieved = await retrieve(guarded, self.serving)
        if isinstance(retrieved, Refusal):
            return guarded, retrieved
        if is_stopped(retrieved):
            return stop(retrieved, self.serving), None
        return await compose(retrieved, self.serving), None

    async def _attempt(self, guarded: Guarded) -> tuple[Composed | Checked | Guarded, Refusal | None]:
        retrieved = await retrieve(guarded, self.serving)
        if isinstance(retrieved, Refusal):
            return guarded, retrieved
        if is_stopped(retrieved):
            return stop(retrieved, self.serving), None
        composed = await compose(retrieved, self.serving)
        generated = await generate(composed, self.serving)
        if isinstance(generated, Refusal):
            return composed, generated
        checked = await guard_out(generated, self.serving)
        refusal = await recheck(checked, self.serving)
        return (composed, refusal) if refusal is not None else (checked, None)
