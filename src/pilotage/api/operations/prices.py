"""`/api/v1/releases/{digest}/prices`: what the model of a release costs."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.price_release import price_release


class Pricing(Body):
    """Prices per million tokens as in model.yaml, decimals as text; or why the model is unmetered, and nothing else."""

    input: str | None = None
    output: str | None = None
    currency: str | None = None
    unmetered: str | None = None


def _price(call: Call) -> Result:
    asked: Pricing = call.fields
    named = {name: getattr(asked, name) for name in ("input", "output", "currency", "unmetered")}
    prices = {name: value for name, value in named.items() if value is not None}
    return price_release(call.instance, actor=call.actor, release=call.params["digest"], prices=prices)


OPERATIONS = (
    Operation(
        method="POST",
        path="/releases/{digest}/prices",
        command="release price",
        summary="Say what the model of a release costs that was sealed without a price",
        gives="The prices as kept.",
        run=_price,
        takes=Pricing,
    ),
)
