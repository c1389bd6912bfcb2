"""Step 2a, locate: which space's rules hold for this request (serving.md 1.1.2).

The named space, else the declared default, else the one space that serves the workflow and that the asker may use;
a sandbox steps back as soon as another space serves the workflow. Fail mode: an asker learns only of spaces they may
use; everything else is `model_not_found`.
"""

from __future__ import annotations

from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.serving.context import Asker, Authenticated, Located
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.residency import fits_asker
from pilotage.serving.routing import Place
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend
from pilotage.space.settings import Tier


async def locate(context: Authenticated, serving: Serving) -> Located | Refusal:
    """Choose the space and take its routing row."""
    age = serving.monotonic() - serving.routing.confirmed_at
    if age > serving.workspace.gateway.routing_stale_s:
        return Refusal(
            code=Code.ROUTING_STALE,
            message="This process has lost touch with the routing table and answers nobody until it is back.",
            retry_after_s=2,
        )
    asked, asker = context.asked, context.asker
    name = asked.space or _chosen(serving, asker, asked.workflow)
    if isinstance(name, Refusal):
        return name
    space = serving.workspace.spaces.get(name)
    if space is None or not _key_allows_space(asker, name):
        return Refusal(code=Code.SPACE_NOT_FOUND, message=f"There is no space {name!r} for you.", param="space")
    row = serving.routing.row(name, asked.workflow)
    if row is None or not _key_allows_workflow(asker, asked.workflow):
        return _no_model(asked.workflow)
    if not fits_asker(asker.principal.region, space):
        return Refusal(
            code=Code.RESIDENCY_MISMATCH, message=f"The space {name!r} does not serve askers of your region."
        )
    return extend(context, Located, place=Place(space=space, row=row))


def callable_workflows(serving: Serving, asker: Asker, space: SpaceName | None) -> tuple[WorkflowName, ...]:
    """Return the workflows an asker may call, in one space or in any, by name."""
    names = [space] if space is not None else list(serving.workspace.spaces)
    found = {
        workflow
        for where, workflow in serving.routing.rows
        if where in names and where in _usable(serving, asker, [where]) and _key_allows_workflow(asker, workflow)
    }
    return tuple(sorted(found))


def _chosen(serving: Serving, asker: Asker, workflow: WorkflowName) -> SpaceName | Refusal:
    default = serving.workspace.gateway.default_space
    if default is not None and serving.routing.row(default, workflow) is not None:
        return default
    serving_spaces = serving.routing.spaces_of(workflow)
    usable = _usable(serving, asker, serving_spaces)
    found = [name for name in usable if serving.workspace.spaces[name].tier is not Tier.SANDBOX] or usable
    if not found:
        return _no_model(workflow)
    if len(found) > 1:
        return Refusal(
            code=Code.SPACE_AMBIGUOUS,
            message=f"Several spaces serve this model: {', '.join(found)}. Use /spaces/<space>/v1/...",
            param="model",
        )
    return found[0]


def _usable(serving: Serving, asker: Asker, names: tuple[SpaceName, ...] | list[SpaceName]) -> list[SpaceName]:
    spaces = serving.workspace.spaces
    return [
        name
        for name in names
        if name in spaces and _key_allows_space(asker, name) and fits_asker(asker.principal.region, spaces[name])
    ]


def _key_allows_space(asker: Asker, space: str) -> bool:
    return asker.key is None or not asker.key.spaces or space in asker.key.spaces


def _key_allows_workflow(asker: Asker, workflow: str) -> bool:
    return asker.key is None or not asker.key.workflows or workflow in asker.key.workflows


def _no_model(workflow: WorkflowName) -> Refusal:
    return Refusal(
        code=Code.MODEL_NOT_FOUND, message=f"There is no model {workflow[:80]!r} that you may call.", param="model"
    )
