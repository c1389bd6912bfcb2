"""`pilotage corpus refresh | versions | diff | accept | reject | takedown | search`, and what follows a takedown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pilotage.cli.options import FORBIDDEN, NO, Options, command
from pilotage.cli.runtime import Runtime
from pilotage.cli.shown import Listing, short
from pilotage.control.corpus_reports import DiffReport, diff_versions, list_versions, version_as_json
from pilotage.control.follow_takedown import (
    Follow,
    confirm_purge,
    end_hold,
    hold_takedown,
    lift_block,
    takedown_as_json,
)
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.review_version import accept_version, reject_version
from pilotage.control.search_corpus import FoundPassage, Search, search_corpus
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.errors import UsageError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.store.corpora import StoredVersion
from pilotage.store.takedowns import StoredTakedown

Name = Annotated[str, typer.Argument(metavar="NAME", help="The corpus.")]


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Governed documents: refresh, review, search, take down.")
    group.command("refresh")(command(_refresh(runtime)))
    for name, function in (
        ("versions", versions),
        ("diff", diff),
        ("accept", accept),
        ("reject", reject),
        ("takedown", takedown),
        ("hold", hold),
        ("unhold", unhold),
        ("confirm", confirm),
        ("lift", lift),
        ("search", search),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="corpus")


def _refresh(runtime: Runtime) -> Callable[..., None]:
    def refresh(
        options: Options,
        name: Name,
        source: Annotated[Path | None, typer.Option("--from", metavar="DIR|FILE")] = None,
        accept: Annotated[bool, typer.Option("--accept", help="Accept at once: steward, review: single.")] = False,
    ) -> None:
        """Read the source into a new version, which waits for review."""
        with options.open("pilotage corpus refresh") as instance, _progress(options, name) as progress:
            done = refresh_corpus(
                instance,
                actor=options.actor(instance),
                corpus=CorpusName(name),
                source=source.resolve() if source else None,
                accept=accept,
                tools=runtime.refresh_tools(instance, progress),
            )
        if isinstance(done, Refusal):
            options.refuse(done)
        options.show(done.as_json(), lambda out: _render_refresh(out, done))
        if done.not_accepted is not None:
            raise SystemExit(FORBIDDEN if done.needs_permission else NO)

    return refresh


@contextmanager
def _progress(options: Options, name: str) -> Iterator[Callable[[int, int | None], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=options.err, transient=True) as bar:
        task = bar.add_task(f"Reading {name}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _render_refresh(out: Console, done: RefreshResult) -> None:
    if done.state == "unchanged":
        known = "" if done.version is None else f" since version {done.version}"
        out.print(f"{done.corpus}: unchanged{known}, no new version ({done.unchanged} documents).")
    else:
        out.print(
            f"{done.corpus} version [bold]{done.version}[/bold] is {done.state}: {done.added} added, {done.changed}"
            f" changed, {done.removed} removed, {done.metadata} metadata only, {done.unchanged} unchanged;"
            f" {done.chunks} chunks."
        )
    for one in done.rejected:
        out.print(f"[yellow]rejected[/yellow] {escape(one.id)}: {escape(one.reason)}")
    for reason in done.needs_review:
        out.print(f"[yellow]needs review[/yellow] {escape(reason.text)}")
    if done.not_accepted is not None:
        for reason in done.not_accepted.reasons:
            out.print(f"[red]not accepted[/red] {escape(reason.text)}")
    if done.state == "proposed":
        out.print(
            f"Review it: pilotage corpus diff {done.corpus}; then: pilotage corpus accept {done.corpus} {done.version}"
        )


def versions(
    options: Options,
    name: Name,
    page: Annotated[str | None, typer.Option("--page", help="Key of the next page.")] = None,
) -> None:
    """List the versions of a corpus, newest first."""
    with options.open("pilotage corpus versions") as instance:
        found = list_versions(instance, corpus=CorpusName(name), before=page)

    def render(out: Console) -> None:
        table = Listing("version", "state", "created by", "decided by", "digest!")
        for one in found.versions:
            table.add_row(str(one.number), one.state, one.created_by, one.decided_by or "-", one.digest[:19])
        out.print(table)
        if found.more:
            out.print(f"older versions: --page {found.more}")

    options.show(found.as_json(), render)


def diff(
    options: Options,
    name: Name,
    a: Annotated[int | None, typer.Argument(metavar="[A]")] = None,
    b: Annotated[int | None, typer.Argument(metavar="[B]")] = None,
    words: Annotated[bool, typer.Option("--words", help="Show changed words by section.")] = False,
) -> None:
    """Compare two versions; without numbers the newest with the one it follows."""
    with options.open("pilotage corpus diff") as instance:
        actor = options.actor(instance)
        report = diff_versions(instance, actor=actor, corpus=CorpusName(name), a=a, b=b, words=words)
    options.show(report.as_json(), lambda out: _render_diff(out, report))


def _render_diff(out: Console, report: DiffReport) -> None:
    for word, ids in (
        ("added", report.diff.added),
        ("changed", report.diff.changed),
        ("removed", report.diff.removed),
        ("metadata", report.diff.metadata),
    ):
        for identifier in ids:
            out.print(f"{word:9} {escape(identifier)}")
    for identifier, change in sorted(report.diff.acl.items()):
        names = [*(f"+{name}" for name in change.added), *(f"-{name}" for name in change.removed)]
        out.print(f"{'readers':9} {escape(identifier)} {escape(' '.join(names))}")
    if not (report.diff.added or report.diff.changed or report.diff.removed or report.diff.metadata):
        out.print("No document differs.")


def accept(
    options: Options,
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    note: Annotated[str, typer.Option()] = "",
) -> None:
    """Accept a proposed version (steward or owner; a second person under two-person review)."""
    with options.open("pilotage corpus accept") as instance:
        actor = options.actor(instance)
        done = accept_version(instance, actor=actor, corpus=CorpusName(name), version=version, note=note)
    _show_decision(options, done)


def reject(
    options: Options,
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    note: Annotated[str, typer.Option(help="Why.")],
) -> None:
    """Reject a proposed version, with the reason."""
    with options.open("pilotage corpus reject") as instance:
        actor = options.actor(instance)
        done = reject_version(instance, actor=actor, corpus=CorpusName(name), version=version, note=note)
    _show_decision(options, done)


def _show_decision(options: Options, done: StoredVersion | Refusal) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(version_as_json(done), lambda out: out.print(f"{done.corpus} version {done.number} is {done.state}."))


def takedown(
    options: Options,
    name: Name,
    document: Annotated[str, typer.Argument(metavar="DOC_ID")],
    reason: Annotated[str, typer.Option(help="Why; kept outside the ledger.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the purge and its proof.")] = False,
    include_duplicates: Annotated[bool, typer.Option("--include-duplicates")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Keep the bytes, hidden: legal hold.")] = False,
) -> None:
    """Hide a document from every version at once, then erase its bytes."""
    with options.open("pilotage corpus takedown") as instance:
        done = take_down(
            instance,
            actor=options.actor(instance),
            request=TakedownRequest(
                corpus=CorpusName(name),
                document=document,
                reason=reason,
                wait=wait,
                include_duplicates=include_duplicates,
                hold=hold,
            ),
        )
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: render_takedown(out, done))


def render_takedown(out: Console, done: TakedownResult) -> None:
    """Print where a takedown stands, what it touched besides, and how far it is proven."""
    out.print(f"{escape(done.document)} is [bold]{done.state}[/bold] in {_versions(done)}.")
    for said, names in (
        ("The same content also stands under", done.also_in),
        ("Taken down with it, in derived corpora:", done.derived),
        ("Golden cases to review:", done.golden_to_review),
        ("Quarantined, as their prompts quoted it:", [short(one) for one in done.quarantined]),
    ):
        if names:
            out.print(f"[yellow]{said}[/yellow] {escape(', '.join(names))}")
    if done.proof is not None:
        out.print(escape(_proven(done.proof)))


def _versions(done: TakedownResult) -> str:
    numbers = ", ".join(map(str, done.versions_affected))
    return f"version{'' if len(done.versions_affected) == 1 else 's'} {numbers}" if numbers else "no version"


def _proven(proof: Mapping[str, Any]) -> str:
    """Say how the bytes were looked for, and how long copies that were not looked at may last."""
    megabytes = proof["bytes_scanned"] / 1e6
    searched = f"{proof['shingles']} pieces of its text were searched in {proof['files_scanned']:,} files"
    found = f"{searched} ({megabytes:,.0f} MB): {proof['hits']} hits."
    parts = [f"{proof['rows']} rows erased.", found if proof["shingles"] else _NOTHING_SEARCHED]
    if proof["files_with_hits"]:
        parts.append(f"Found in {', '.join(proof['files_with_hits'])}.")
    if "copies_until" in proof:
        until = proof["copies_until"]
        parts.append(f"Backups and logs of the server may hold it until {until}." if until else _UNKNOWN_COPIES)
    return " ".join(parts)


_NOTHING_SEARCHED = "No piece of its text was left to search for: that it is gone from every file is not proven."
_UNKNOWN_COPIES = "Backups and logs of the server may hold it; until when is not known: declare backup_retention."


Document = Annotated[str, typer.Argument(metavar="DOC_ID")]
Reason = Annotated[str, typer.Option(help="Why; kept outside the ledger.")]


def hold(options: Options, name: Name, document: Document, reason: Reason) -> None:
    """Keep the bytes of a document that was taken down: legal hold."""
    _follow(options, hold_takedown, Follow(corpus=CorpusName(name), document=document, reason=reason))


def unhold(options: Options, name: Name, document: Document, reason: Reason) -> None:
    """End a legal hold: the purge goes on."""
    _follow(options, end_hold, Follow(corpus=CorpusName(name), document=document, reason=reason))


def confirm(options: Options, name: Name, document: Document, reason: Reason) -> None:
    """Confirm that no backup or replica holds a purged document any more."""
    _follow(options, confirm_purge, Follow(corpus=CorpusName(name), document=document, reason=reason))


def lift(options: Options, name: Name, document: Document, reason: Reason) -> None:
    """Let the next refresh bring a document back that was taken down (its steward)."""
    said = "may come back with the next refresh"
    _follow(options, lift_block, Follow(corpus=CorpusName(name), document=document, reason=reason), said)


def _follow(
    options: Options, act: Callable[..., StoredTakedown | Refusal], follow: Follow, said: str | None = None
) -> None:
    with options.open("pilotage corpus takedown") as instance:
        done = act(instance, actor=options.actor(instance), follow=follow)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(
        takedown_as_json(done), lambda out: out.print(f"{escape(done.document)} {said or f'is {done.state}'}.")
    )


def search(
    options: Options,
    name: Name,
    question: Annotated[str, typer.Argument(metavar="QUESTION")],
    version: Annotated[int | None, typer.Option()] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE")] = None,
    top: Annotated[int, typer.Option()] = 10,
) -> None:
    """Find passages by their words alone, as the person named by --as may see them."""
    with options.open("pilotage corpus search") as instance:
        found = search_corpus(
            instance,
            actor=options.actor(instance),
            corpus=name,
            wanted=Search(question=question, version=version, as_of=day_of(as_of), top=top),
        )
    options.show({"passages": [one.as_json() for one in found]}, lambda out: _render_passages(out, found))


def _render_passages(out: Console, found: tuple[FoundPassage, ...]) -> None:
    if not found:
        out.print("Nothing you may read matches.")
    for one in found:
        out.print(
            f"[bold]{escape(one.document)}[/bold] {escape(one.section)} [dim]chunk {one.chunk}, {one.score:.3f}[/dim]"
        )
        out.print(escape(one.text), style="none")
        out.print()


def day_of(text: str | None) -> date | None:
    """Read a date option; raise UsageError with the form to write."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError("DATE_FORM", f"{text!r} is not a date.", hint="Write YYYY-MM-DD.") from None
