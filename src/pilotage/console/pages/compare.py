"""Compare: is B worse? The verdict with what decided it, both releases metric by metric, then case by case.

Rule: what a viewer gets to read of an answer is decided by `view_comparison`. Fail mode: without a run that asked both
the page says why and offers to run it; a value of the address that names nothing is ignored, and the page says so.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup

from pilotage.console.charts.interval import Whisker, interval_chart
from pilotage.console.charts.series import Labels
from pilotage.console.compare_cards import cards_of, cut, weight
from pilotage.console.reply import Download, Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status
from pilotage.control.compared_case import CaseWish, Show
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.view_comparison import Comparing, MetricRow, Standing, both_answered, unscored_of, view_comparison
from pilotage.core.digest import short
from pilotage.core.reason import Refusal
from pilotage.evaluation.criteria import Verdict

_WORDS: Final = {Verdict.GO: Status.GO, Verdict.NO_GO: Status.NO_GO, Verdict.INCONCLUSIVE: Status.INCONCLUSIVE}
_SHOWN: Final = {
    Show.CHANGED: "what changed",
    Show.WORSE: "worse in B",
    Show.BETTER: "better in B",
    Show.UNSCORED: "without a number",
    Show.ALL: "every case",
}
_LONGEST: Final = 120
_SLICES: Final = 50
_TAGS: Final = 200
_TAGS_BYTES: Final = 16_000


def show_compare(visit: Visit) -> Page:
    """Show B against A; the form that asks for both names while one is missing."""
    names = {name: (visit.query.get(name) or visit.typed(name)).strip() for name in ("a", "b")}
    if not all(names.values()):
        return Page(template="compare.html", title="Compare", values={"view": None, "names": names})
    wish, ignored = _wish(visit)
    view = view_comparison(visit.reading, actor=visit.actor, before=names["a"], after=names["b"], wish=wish)
    here = {"a": short(view.before.release.digest), "b": short(view.after.release.digest)}
    if view.cases is not None and wish.tag != view.cases.wish.tag:
        ignored.append(f"tag {wish.tag[:60]}")
        wish = view.cases.wish
    page, slices = view.cases, (view.result.get("comparison") or {}).get("slices", ())
    cards, more = ((), "") if page is None else cards_of(page.shown, page.more, is_alone=bool(wish.case))
    return Page(
        template="compare.html",
        title="Compare",
        about=f"{here['a']} to {here['b']}",
        values={
            "view": view,
            "names": here,
            "here": f"/compare?{urlencode(here)}",
            "word": None if view.verdict is None else _WORDS[view.verdict],
            "rows": [(one, *_numbers(one)) for one in view.rows],
            "chart": _chart(view, f"/compare/numbers?{urlencode(here)}"),
            "slices": [{**one, "tag": cut(one["tag"], _LONGEST)} for one in slices[:_SLICES]],
            "slice_count": len(slices),
            "both_complete": both_answered(view.result),
            "unscored": unscored_of(view.result),
            "unscored_cases": view.result.get("unscored_cases"),
            "shows": _SHOWN,
            "wish": wish,
            "ignored": ignored,
            "cards": cards,
            "tags": () if view.cases is None else _offered(view.cases.tags, wish.tag),
            "more": _more(here, wish, more) if more else "",
            "own": _own(view) if view.standing is Standing.GOLDEN_DIFFERS else (),
        },
    )


def _wish(visit: Visit) -> tuple[CaseWish, list[str]]:
    """Return which cases the address asks for, and the values that were ignored."""
    show, ignored = visit.query.get("show", ""), list[str]()
    if show and show not in {one.value for one in Show}:
        ignored.append(f"show {show[:60]}")
        show = ""
    asked = {name: visit.query.get(name, "")[:_LONGEST] for name in ("tag", "after", "case")}
    return CaseWish(show=Show(show) if show else Show.CHANGED, **asked), ignored


def _offered(tags: Sequence[str], chosen: str) -> tuple[list[str], int]:
    """Return the tags that the filter lists, the chosen one among them, and how many it leaves out."""
    found, size = [chosen] if chosen else list[str](), 0
    for tag in tags[:_TAGS]:
        size += 2 * weight(tag)
        if tag != chosen and size <= _TAGS_BYTES:
            found.append(tag)
    return sorted(found), len(tags) - len(found)


def _more(here: Mapping[str, str], wish: CaseWish, after: str) -> str:
    kept = {"show": wish.show.value, **({"tag": wish.tag} if wish.tag else {})}
    return f"/compare?{urlencode({**here, **kept, 'after': after})}#cases"


def _numbers(row: MetricRow) -> tuple[Status | None, dict[str, str]]:
    """Return a row's word and its numbers as people read them; what nobody knows is the word."""
    one, shown = row.stored, (_share if row.stored["relative"] else _signed)
    lower, upper = one["ci"]
    whole = one["difference"] is None or lower is None or upper is None
    numbers = {
        "old": _plain(one["old"]),
        "new": _plain(one["new"]),
        "difference": shown(one["difference"]),
        "interval": "" if whole else f"{shown(lower)} to {shown(upper)}",
        "margin": "none" if row.margin is None else _margin(row.margin, is_relative=one["relative"]),
        "detectable": _undetected(lower, upper)
        if row.detectable is None
        else _smallest(row.detectable, one["relative"]),
    }
    return None if row.state is None else _WORDS[row.state], numbers


def _undetected(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return "unknown"
    return "no spread to tell" if lower == upper else "no loss at all"


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f}"


def _share(value: float | None) -> str:
    """Write -log(new/old) as the share that B saves."""
    return "unknown" if value is None else f"{-math.expm1(-value) * 100:+.1f} %"


def _margin(value: float, *, is_relative: bool) -> str:
    return f"{value * 100:g} %" if is_relative else f"{value:g}"


def _smallest(value: float, is_relative: bool) -> str:  # noqa: FBT001 - a field of the row
    return f"{math.expm1(value) * 100:.1f} %" if is_relative else f"{value:.3f}"


def whiskers_of(rows: Sequence[MetricRow]) -> list[Whisker]:
    """Return what the chart draws: the metrics with a range; times and costs are in the table alone."""
    return [
        Whisker(
            name=one.stored["metric"],
            value=one.stored["difference"],
            lower=one.stored["ci"][0] if one.stored["difference"] is not None else None,
            upper=one.stored["ci"][1] if one.stored["difference"] is not None else None,
            limit=None if one.margin is None else -one.margin,
        )
        for one in rows
        if not one.stored["relative"]
    ]


def _chart(view: Comparing, address: str) -> Markup | None:
    rows = whiskers_of(view.rows)
    if not rows:
        return None
    apart = [one for one in rows if one.lower is not None and one.upper is not None and one.lower * one.upper > 0]
    worse = sum(one.value is not None and one.value < 0 for one in apart)
    finding = (
        f"Of {len(rows)} metrics B is worse in {worse} and better in {len(apart) - worse} by a 95 % interval that"
        " leaves out 0; right of the line is better."
    )
    labels = Labels(title="B against A by metric", finding=finding, x="metric", y="B better by", csv=address)
    return interval_chart(labels, rows, text=lambda value: f"{value:.3g}")


def _own(view: Comparing) -> list[tuple[str, tuple[str, str]]]:
    """Return each side's own value of every metric, with its n; they are of different cases."""
    sides = [side.result.get("metrics", {}) for side in (view.before, view.after)]
    names = sorted({name for metrics in sides for name in metrics})
    return [(name, (_one(sides[0].get(name)), _one(sides[1].get(name)))) for name in names]


def _one(metric: Mapping[str, Any] | None) -> str:
    return "not measured" if metric is None or metric["value"] is None else f"{metric['value']:.4g}, n {metric['n']}"


def evaluate(visit: Visit) -> Reply | Refusal:
    """Ask both releases B's golden set; a worker drives the run."""
    names = {name: visit.typed(name).strip() for name in ("a", "b")}
    request = EvaluationRequest(release=names["b"], baseline=names["a"] or None)
    done = start_evaluation(visit.instance, actor=visit.actor, request=request)
    return done if isinstance(done, Refusal) else Redirect(to=f"/compare?{urlencode(names)}")


def download_numbers(visit: Visit) -> Reply:
    """Return what the chart draws as CSV, an unknown number as an empty cell."""
    names = [visit.query.get(name, "").strip() for name in ("a", "b")]
    if not all(names):
        return Redirect(to="/compare")
    view = view_comparison(visit.reading, actor=visit.actor, before=names[0], after=names[1])
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(("metric", "b_better_by", "from", "to", "limit"))
    for one in whiskers_of(view.rows):
        numbers = (one.value, one.lower, one.upper, one.limit)
        table.writerow((one.name, *("" if number is None else repr(number) for number in numbers)))
    found = view.before.release.digest, view.after.release.digest
    filename = f"compare-{short(found[0])}-{short(found[1])}.csv"
    return Download(body=written.getvalue().encode(), media="text/csv; charset=utf-8", filename=filename)
