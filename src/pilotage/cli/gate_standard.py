"""`pilotage gate standard-propose | standard-sign | standard | standards`: small changes approved in advance."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.shown import Listing
from pilotage.control.standard_change import (
    Proposed,
    TemplateBallot,
    TemplateRequest,
    declare_standard,
    propose_template,
    sign_template,
    standard_templates,
)
from pilotage.core.reason import Refusal
from pilotage.gate.standard import DEFAULT_PARTS, MAX_DOCUMENTS, MAX_SHARE

_Template = Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template's id.")]


def add_standard(group: typer.Typer) -> None:
    """Add the commands to `pilotage gate`."""
    for name, function in (
        ("standard-propose", propose),
        ("standard-sign", sign),
        ("standard", declare),
        ("standards", templates),
    ):
        group.command(name)(command(function))


def propose(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    reason: Annotated[str, typer.Option("--reason", help="Why such changes need nobody.")],
    part: Annotated[list[str] | None, typer.Option("--part", help="A part that may change (default: corpus).")] = None,
    max_share: Annotated[float, typer.Option("--max-share", help="Of the documents, at most 0.05.")] = MAX_SHARE,
    max_documents: Annotated[int, typer.Option("--max-documents", help="At most 500.")] = MAX_DOCUMENTS,
) -> None:
    """Put a template for standard changes before the board."""
    parts = tuple(part or DEFAULT_PARTS)
    request = TemplateRequest(reason=reason, parts=parts, max_share=max_share, max_documents=max_documents)
    with options.open("pilotage gate standard-propose") as instance:
        done = propose_template(instance, actor=options.actor(instance), workflow=workflow, request=request)
    _show(options, done)


def sign(
    options: Options,
    name: _Template,
    role: Annotated[str, typer.Option("--role", help="The seat, or the role that signs after the board.")],
    decision: Annotated[str, typer.Option("--decision", help="approve, reject or abstain.")] = "approve",
    comment: Annotated[str, typer.Option("--comment", help="Why; needed unless you approve.")] = "",
) -> None:
    """Decide about a template in a seat of the board."""
    with options.open("pilotage gate standard-sign") as instance:
        ballot = TemplateBallot(role=role, decision=decision, comment=comment, login=options.login(instance))
        done = sign_template(instance, actor=options.actor(instance), name=name, ballot=ballot)
    _show(options, done)


def _show(options: Options, done: Proposed | Refusal) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_one(out, done))


def _render_one(out: Console, done: Proposed) -> None:
    if done.approval.until is not None:
        out.print(f"Template {done.template.id} is approved until {done.approval.until:%Y-%m-%d}.")
        return
    out.print(f"Template {done.template.id} is not approved yet:")
    for reason in done.approval.missing:
        out.print(f"    {escape(reason.code)}: {escape(reason.text)}")


def declare(
    options: Options,
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")
    ],
    template: Annotated[str, typer.Option("--template", metavar="ID", help="The template it goes by.")],
) -> None:
    """Let a release go by a template instead of the sign-offs of uat and the board."""
    with options.open("pilotage gate standard") as instance:
        done = declare_standard(instance, actor=options.actor(instance), release=digest, template=template)
    if isinstance(done, Refusal):
        options.refuse(done)
    text = (
        f"{done.change.release[:19]} goes as a standard change by {template}, approved until {done.until:%Y-%m-%d}. "
        "All criteria stay, and so does go-live."
    )
    options.show(done.as_json(), lambda out: out.print(text))


def templates(
    options: Options,
    workflow: Annotated[str | None, typer.Argument(metavar="WORKFLOW", help="One workflow; all without.")] = None,
) -> None:
    """List templates for standard changes, and what the board has still to say."""
    with options.open("pilotage gate standards") as instance:
        found = standard_templates(instance, workflow=workflow)
    options.show({"templates": [one.as_json() for one in found]}, lambda out: _render(out, found))


def _render(out: Console, found: tuple[Proposed, ...]) -> None:
    table = Listing("template!", "workflow", "parts", "documents", "until!", "missing")
    for one in found:
        it = one.template
        until = "-" if one.approval.until is None else f"{one.approval.until:%Y-%m-%d}"
        missing = "; ".join(reason.where or reason.code for reason in one.approval.missing)
        most = f"{it.max_share:.0%}, {it.max_documents}"
        table.add_row(it.id, it.workflow, ", ".join(it.parts), most, until, escape(missing))
    out.print(table)
