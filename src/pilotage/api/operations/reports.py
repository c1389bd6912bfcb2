"""`/api/v1/workflows/{workflow}/reports`: what a workflow costs."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.cost_report import make_cost_report
from pilotage.core.reason import Refusal


class OfMonth(Body):
    """`month` as YYYY-MM; the present one when left out."""

    month: str | None = None


def _cost(call: Call) -> Result:
    asked: OfMonth = call.fields
    done = make_cost_report(call.instance, actor=call.actor, workflow=call.params["workflow"], month=asked.month)
    return done if isinstance(done, Refusal) else done.as_json()


OPERATIONS = (
    Operation(
        method="POST",
        path="/workflows/{workflow}/reports/cost",
        command="report cost",
        summary="Report what a workflow costs: plan, what was spent, where the month ends",
        gives="The report's digest and its facts, every amount as decimal text.",
        run=_cost,
        takes=OfMonth,
    ),
)
