"""`pilotage explain`: the chain from an answer back to everything that made it, as text for a person.

Rule: `--json` shows every field; the text shows what a person reads, in units they know, and names what is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pilotage.cli.options import Options
from pilotage.control.explain_interaction import explain_interaction

Row: TypeAlias = tuple[str, str]

_US_PER_MS = 1_000


def explain(options: Options, interaction: Annotated[str, typer.Argument(metavar="INTERACTION")]) -> None:
    """Show why this person was given this answer: the whole chain, with its proof."""
    with options.open("pilotage explain") as instance:
        found = explain_interaction(instance, actor=options.actor(instance), interaction=interaction)
    record = found.as_json()
    options.show(record, lambda out: render_explanation(out, record))


def render_explanation(out: Console, record: Mapping[str, Any]) -> None:
    """Print the chain link by link."""
    out.print(f"[bold]{escape(record['interaction'])}[/bold]  {escape(record['outcome'])}, {escape(record['state'])}")
    out.print()
    out.print(_grid([("at", record["at"]), *_texts(record)]))
    for name, shown in (
        ("Asked by", _grid(_asker(record))),
        ("Allowed set", _grid((key.replace("_", " "), str(value)) for key, value in record["allowed"].items())),
        ("Passages", _passages(record["passages"])),
        ("Checks", _grid(_checks(record["guards"]))),
        ("Release", _grid(_release(record["release"]))),
        ("Gates when it was let in", _grid(_gates(record.get("gates", ())))),
        ("Feedback", _grid((one["rating"], one["comment"] or "") for one in record["feedback"])),
        ("Proof", _grid(_proof(record["proof"]))),
    ):
        if shown.row_count:
            out.print(f"\n[bold]{name}[/bold]")
            out.print(shown)


def _gates(gates: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for one in gates:
        signed = ", ".join(f"{who['person']} {who['decision']} ({who['role']})" for who in one["signed"])
        risks = "".join(f"; risk {risk['risk']} accepted" for risk in one["risks"])
        let_in = f"let in {'by emergency ' if one['is_emergency'] else ''}{one['at']} by {one['by']}"
        yield str(one["gate"]), f"{str(one['status']).replace('_', ' ')}, {let_in}: {signed or 'no sign-off'}{risks}"


def _grid(rows: Iterable[Row]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", min_width=14)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(f"  {escape(name)}", escape(value))
    return table


def _texts(record: Mapping[str, Any]) -> Iterator[Row]:
    """Yield question and answer; one that was never there is told from one that was erased."""
    erased = {name for one in record["proof"] for name in one["erased"]}
    for name in ("question", "answer"):
        text = record[name]
        yield name, text if text is not None else "erased" if name in erased else "none"


def _asker(record: Mapping[str, Any]) -> Iterator[Row]:
    asker, admitted, routed = record["asker"], record["admitted"], record["routed"]
    yield "pseudonym", asker["pseudonym"]
    via = [str(asker.get("via") or "")]
    via += [f"{word} {asker[key]}" for key, word in (("key", "key"), ("acting_service", "service")) if asker.get(key)]
    yield "identity", ", ".join(via)
    if asker.get("authenticated_at"):
        yield "logged in", str(asker["authenticated_at"])
    yield "in", f"{admitted['space']}, workflow {routed['workflow']}"
    rate = admitted.get("rate_used")
    if rate:
        yield "rate", f"request {rate['used']:,} under the {rate['of']}'s limit of {rate['limit']}"
    if routed["arm"]:
        yield "served by", f"the {routed['arm']} release, as {routed['kind']} traffic"
    if admitted.get("code"):
        yield "code", str(admitted["code"])


def _passages(passages: Sequence[Mapping[str, Any]]) -> Table:
    if not passages:
        return _grid([("none", "")])
    table = Table("", "document", "section", "score", "cited", box=None, header_style="dim", pad_edge=False)
    for one in passages:
        marker = "-" if one["marker"] is None else f"[{one['marker']}]"
        score = f"{float(one['score']):.3f}"
        table.add_row(f"  {one['rank']}", *map(escape, (one["document"], one["section"] or "", score, marker)))
    return table


def _checks(guards: Mapping[str, Any]) -> Iterator[Row]:
    for name, value in guards.get("checks", {}).items():
        yield name, str(value)
    for finding in guards.get("findings", []):
        named = finding if isinstance(finding, Mapping) else {"finding": finding}
        yield "finding", ", ".join(f"{key} {value}" for key, value in named.items())
    if guards.get("refusal"):
        yield "refused as", str(guards["refusal"])


def _release(release: Mapping[str, Any]) -> Iterator[Row]:
    yield "digest", str(release["digest"] or "none was reached")
    if release.get("sealed_by"):
        yield "sealed", f"by {release['sealed_by']} at {release['sealed_at']}, now {release['state']}"
    if release["corpus"]:
        yield "corpus", f"{release['corpus']} version {release['corpus_version']}, as of {release['as_of']}"
    if release.get("found_by"):
        model = (release.get("vectors") or {}).get("model")
        yield "found by", f"{release['found_by']}{f' of {model}' if model else ''}"
    usage = release.get("usage") or {}
    tokens = ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in usage.items())
    model = str(release.get("model_used") or "none")
    if release.get("fingerprint_used"):
        model += f" ({release['fingerprint_used']})"
    yield "model", f"{model}, {tokens}" if tokens else model
    if release.get("cached"):
        yield "from", "the answer cache"
    named = (("t_retrieve", "retrieval"), ("t_first", "first byte"), ("t_total", "whole"))
    times = [f"{word} {release[key] / _US_PER_MS:.1f} ms" for key, word in named if release.get(key) is not None]
    if times:
        yield "took", ", ".join(times)


def _proof(proof: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for one in proof:
        if one["root"] is None:
            place = "waits for its number"
        else:
            place = f"entry {one['seq']} of {one['size']}, root {one['root'][:12]}"
        texts = [f"{name} {'as recorded' if holds else 'CHANGED'}" for name, holds in one["opens"].items()]
        texts += [f"{name} erased" for name in one["erased"]]
        yield one["kind"], "; ".join(part for part in (place, ", ".join(texts)) if part)
