"""`pilotage evidence add | fetch | own | list | show | open | withdraw`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.caller import caller_of
from pilotage.cli.options import NO, Options, command
from pilotage.cli.shown import Listing, print_record
from pilotage.cli.written import write_pieces
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.evidence_reports import list_evidence, show_evidence, withdraw_evidence
from pilotage.control.evidence_text import text_of
from pilotage.control.fetch_evidence import fetch_evidence
from pilotage.control.open_evidence import open_evidence
from pilotage.control.own_evidence import attach_own
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.evidence.limits import MAX_BYTES
from pilotage.evidence.records import Evidence, EvidenceState

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Files and results bound to a release.")
    for name, function in (
        ("add", add),
        ("fetch", fetch),
        ("own", own),
        ("list", list_all),
        ("show", show),
        ("open", open_file),
        ("withdraw", withdraw),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="evidence")


def add(
    options: Options,
    digest: Digest,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="One file, or several that form one set.")],
    kind: Annotated[
        str | None, typer.Option(help="Evidence kind, such as tests.unit; detected where possible.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="Space it was made in.")] = None,
    suite: Annotated[list[str] | None, typer.Option(help="Suite of each file, in the order of the files.")] = None,
    attestation: Annotated[
        list[Path] | None, typer.Option(help="Signed statement about each file (DSSE), in the order of the files.")
    ] = None,
) -> None:
    """Read files, bind them to a release and store them; refused files are kept with their reason."""
    suites, signed = suite or [], attestation or []
    _refuse_large(options, (*files, *signed))
    if signed and len(signed) != len(files):
        message = f"There are {len(files)} files and {len(signed)} attestations."
        raise UsageError("ATTESTATIONS", message, hint="Give --attestation once per file, in their order.")
    uploads = [
        Upload(
            name=path.name,
            data=_read(path),
            kind=kind,
            suite=suites[number] if number < len(suites) else "",
            attestation=_read(signed[number]) if signed else None,
        )
        for number, path in enumerate(files)
    ]
    with options.open("pilotage evidence add") as instance:
        caller = caller_of(instance, options)
        bringer = Bringer(actor=caller.principal, pushed_kinds=caller.evidence_kinds, space=space, text_of=text_of)
        done = attach_evidence(instance, bringer=bringer, release=digest, uploads=uploads)
    if isinstance(done, Refusal):
        options.refuse(done)
    shown = [_shown(item) for item in done]
    options.show(shown[0] if len(shown) == 1 else {"evidence": shown}, lambda out: _render(out, done))
    if any(item.state is EvidenceState.REJECTED for item in done):
        raise SystemExit(NO)


def fetch(
    options: Options,
    digest: Digest,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Name under evidence: sources: in pilotage.yaml.")],
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM", help="owner/name#12 (GitHub), a project's key or KEY@BRANCH (SonarQube), its id (Snyk)."
        ),
    ],
    kind: Annotated[str | None, typer.Option(help="Evidence kind, such as scan.deps; detected where possible.")] = None,
    space: Annotated[str | None, typer.Option(help="Space it was made in.")] = None,
) -> None:
    """Ask a declared tool about an item and bind its answer to a release."""
    with options.open("pilotage evidence fetch") as instance:
        caller = caller_of(instance, options)
        bringer = Bringer(actor=caller.principal, pushed_kinds=caller.evidence_kinds, space=space, text_of=text_of)
        done = fetch_evidence(instance, bringer=bringer, release=digest, source=source, item=item, kind=kind)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(_shown(done), lambda out: _render(out, (done,)))
    if done.state is EvidenceState.REJECTED:
        raise SystemExit(NO)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError("FILE_UNKNOWN", f"There is no file {path}.", hint="Write the path of a file that exists.")
    return path.read_bytes()


def _refuse_large(options: Options, files: Sequence[Path]) -> None:
    """Refuse what no reader takes before it is read."""
    sizes = {path: path.stat().st_size for path in files if path.is_file()}
    reasons = tuple(
        Reason(
            code="EV_TOO_LARGE",
            text=f"{path.name} has {size:,} bytes; a file of evidence has at most {MAX_BYTES:,}. Split the report.",
            where=path.name,
            observed=f"{size} B",
            limit=f"{MAX_BYTES} B",
        )
        for path, size in sizes.items()
        if size > MAX_BYTES
    )
    if reasons:
        options.refuse(Refusal(reasons=reasons))


def _shown(item: Evidence) -> dict[str, Any]:
    found = item.as_json()
    return {**found, "evidence": item.id, "digest": item.subject, "findings": len(item.findings)}


def _render(out: Console, items: tuple[Evidence, ...]) -> None:
    for item in items:
        mark = "[green]accepted[/green]" if item.state is EvidenceState.ACCEPTED else "[red]rejected[/red]"
        out.print(f"{item.id}  {item.kind}  {item.trust}  {mark}")
        if item.summary:
            out.print(f"  {escape(item.summary)}")
        if item.reason is not None:
            out.print(f"  [red]{item.reason.code}[/red] {escape(item.reason.text)}")


def own(options: Options, digest: Digest) -> None:
    """Compute lineage, classification and the secrets scan of a release again, and attach them."""
    with options.open("pilotage evidence own") as instance:
        done = attach_own(instance, actor=options.actor(instance), release=digest)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"evidence": [_shown(item) for item in done]}, lambda out: _render(out, done))


def list_all(options: Options, digest: Digest) -> None:
    """List the evidence of a release, newest first."""
    with options.open("pilotage evidence list") as instance:
        found = list_evidence(instance, digest)

    def render(out: Console) -> None:
        table = Listing("id!", "kind", "space", "trust!", "state!", "age", "summary")
        for one in found:
            keys = ("id", "kind", "space", "trust", "state", "age", "summary")
            table.add_row(*(escape(str(one[key] or "-")) for key in keys))
        out.print(table)

    options.show({"evidence": found}, render)


def show(options: Options, evidence: Annotated[str, typer.Argument(metavar="EVIDENCE")]) -> None:
    """Show one item: claims, findings, references."""
    with options.open("pilotage evidence show") as instance:
        found = show_evidence(instance, evidence)
    options.show(found, lambda out: print_record(out, found))


def open_file(
    options: Options,
    evidence: Annotated[str, typer.Argument(metavar="EVIDENCE")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the file is written.")],
) -> None:
    """Write the file behind an item as it was brought; a document then counts as opened by you."""
    with options.open("pilotage evidence open") as instance:
        done = open_evidence(instance, actor=options.actor(instance), evidence=evidence)
        if isinstance(done, Refusal):
            options.refuse(done)
        write_pieces(out, done.pieces())
    shown = {"evidence": done.evidence, "sha256": done.sha256, "size": done.size, "file": str(out)}
    options.show(shown, lambda to: to.print(f"{out} holds {done.size:,} bytes of {done.evidence}."))


def withdraw(
    options: Options,
    evidence: Annotated[str, typer.Argument(metavar="EVIDENCE")],
    reason: Annotated[str, typer.Option(help="Why it no longer stands.")],
) -> None:
    """Withdraw one's own evidence; its adverse results stay in the history."""
    with options.open("pilotage evidence withdraw") as instance:
        refusal = withdraw_evidence(instance, actor=options.actor(instance), evidence=evidence, reason=reason)
    if refusal is not None:
        options.refuse(refusal)
    options.show({"evidence": evidence, "state": "withdrawn"}, lambda out: out.print(f"{evidence} is withdrawn."))
