"""Standard changes: templates, what the board says of them, and the releases that go by one."""

from __future__ import annotations

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.standard_change import (
    TemplateBallot,
    TemplateRequest,
    declare_standard,
    propose_template,
    sign_template,
    standard_templates,
)
from pilotage.core.reason import Refusal
from pilotage.gate.standard import DEFAULT_PARTS, MAX_DOCUMENTS, MAX_SHARE


class ProposingTemplate(Body):
    """Why such changes need nobody, which parts may change, and how many documents."""

    reason: str
    parts: list[str] = msgspec.field(default_factory=lambda: [*DEFAULT_PARTS])
    max_share: float = MAX_SHARE
    max_documents: int = MAX_DOCUMENTS


class SigningTemplate(Body):
    """A seat's decision: approve, reject or abstain."""

    role: str
    decision: str
    comment: str = ""


class GoingByTemplate(Body):
    """The template the release goes by."""

    template: str


class ListingTemplates(Body):
    """One workflow; all without."""

    workflow: str | None = None


def _propose(call: Call) -> Result:
    asked: ProposingTemplate = call.fields
    request = TemplateRequest(
        reason=asked.reason, parts=tuple(asked.parts), max_share=asked.max_share, max_documents=asked.max_documents
    )
    done = propose_template(call.instance, actor=call.actor, workflow=call.params["workflow"], request=request)
    return done if isinstance(done, Refusal) else done.as_json()


def _sign(call: Call) -> Result:
    asked: SigningTemplate = call.fields
    ballot = TemplateBallot(role=asked.role, decision=asked.decision, comment=asked.comment, login=call.login)
    done = sign_template(call.instance, actor=call.actor, name=call.params["id"], ballot=ballot)
    return done if isinstance(done, Refusal) else done.as_json()


def _declare(call: Call) -> Result:
    done = declare_standard(
        call.instance, actor=call.actor, release=call.params["digest"], template=call.fields.template
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _list(call: Call) -> Result:
    return {"templates": [one.as_json() for one in standard_templates(call.instance, workflow=call.fields.workflow)]}


OPERATIONS = (
    Operation(
        method="POST",
        path="/workflows/{workflow}/standard-templates",
        command="gate standard-propose",
        summary="Put a template for standard changes before the board",
        gives="The template and what it still lacks.",
        run=_propose,
        takes=ProposingTemplate,
    ),
    Operation(
        method="POST",
        path="/standard-templates/{id}/votes",
        command="gate standard-sign",
        summary="Decide about a template in a seat of the board",
        gives="The template and what it still lacks.",
        run=_sign,
        takes=SigningTemplate,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/standard-changes",
        command="gate standard",
        summary="Let a release go by a template instead of the sign-offs of uat and the board",
        gives="The standard change and until when its template is approved.",
        run=_declare,
        takes=GoingByTemplate,
    ),
    Operation(
        method="GET",
        path="/standard-templates",
        command="gate standards",
        summary="List templates for standard changes",
        gives="Templates, newest first, with their votes and what they lack.",
        run=_list,
        takes=ListingTemplates,
    ),
)
