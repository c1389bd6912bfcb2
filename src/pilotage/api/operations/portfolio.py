"""`/api/v1/portfolio`: what to fund next, and what to build it on."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.view_portfolio import view_advice, view_portfolio


class AskingForAdvice(Body):
    """A use case, as portfolio.yaml names it."""

    use_case: str


def _rank(call: Call) -> Result:
    return view_portfolio(call.instance).as_json()


def _advise(call: Call) -> Result:
    asked: AskingForAdvice = call.fields
    return view_advice(call.instance, use_case=asked.use_case).as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/portfolio",
        command="portfolio rank",
        summary="Rank the use cases by value, evidence and data",
        gives="Use cases, the ranked ones first, with inputs, readiness and advice; bands; rows left out, by line.",
        run=_rank,
    ),
    Operation(
        method="GET",
        path="/portfolio/advice",
        command="portfolio advise",
        summary="Choose between retrieval, fine-tuning, both and a prompt alone",
        gives="The choice, its reasons, what is open, and what would change it.",
        run=_advise,
        takes=AskingForAdvice,
    ),
)
