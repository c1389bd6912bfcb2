"""Each leak code fires; each way to make a golden set easier is listed (evaluation.md 2.6, 2.7)."""

from __future__ import annotations

from dataclasses import replace

from tests.evaluation.scoring import make_case

from pilotage.evaluation.leakage import LeakCode, Sources, blocks_gating, find_leaks
from pilotage.evaluation.weakening import WeakeningKind, cases_that_still_count, weakenings
from pilotage.workspace.golden import Attack, AttackKind, Fact, FactForm, GoldenCase, GoldenFile, Oracle, Split

QUESTION = "What is the daily wire transfer limit for a retail customer of the bank?"
FACT = Fact(form=FactForm.TEXT, value="$25,000")


def codes(case: GoldenCase, *, dev: tuple[GoldenCase, ...] = (), **sources: dict[str, str]) -> set[LeakCode]:
    given: dict[str, dict[str, str]] = {"instructions": {}, "examples": {}, "documents": {}, **sources}
    files = [GoldenFile(name="g", cases=(case,)), GoldenFile(name="d", split=Split.DEV, cases=dev)]
    return {one.code for one in find_leaks(files, Sources(**given))}


def test_each_leak_code_fires_and_gold_documents_do_not() -> None:
    case = make_case(QUESTION, facts=(FACT,), citations=(("wires.md",),))
    assert codes(case, instructions={"prompt": f"Example: {QUESTION}"}) == {LeakCode.PROMPT}
    example = "Q: wire transfer daily limit for retail? A: $25,000."
    assert codes(case, examples={"few": example}) == {LeakCode.EXAMPLE}
    assert codes(case, examples={"few": example.replace("25", "30")}) == set()
    assert codes(case, documents={"sheet.md": f"1. {QUESTION}"}) == {LeakCode.DOCUMENT}
    assert codes(case, documents={"wires.md": f"{QUESTION} $25,000."}) == set()
    twin = replace(case, id="dev", question=QUESTION.replace("What is", "What's"))
    assert codes(case, dev=(twin,)) == {LeakCode.SPLITS}
    assert codes(case, documents={"other.md": "The limit is $25,000."}) == set()


def test_a_short_question_leaks_only_as_an_exact_run() -> None:
    assert codes(make_case("Who approves the exception?"), instructions={"p": "who approves the exception"})
    assert not codes(make_case("Who approves?"), instructions={"p": "who approves"})


def test_a_leaked_must_pass_case_blocks_gating() -> None:
    case = make_case(QUESTION, facts=(FACT,))
    leaks = find_leaks(
        [GoldenFile(name="g", cases=(case,))], Sources(instructions={"p": QUESTION}, examples={}, documents={})
    )
    many = tuple(replace(case, id=str(n)) for n in range(40))
    assert not blocks_gating(leaks, (case, *many))
    assert blocks_gating(leaks, (replace(case, must_pass=True), *many))


def number(**changed: object) -> Fact:
    return Fact(form=FactForm.NUMBER, value={"number": 30, "unit": "days", "abs": 0, "rel": 0, "rounding": 3} | changed)  # type: ignore[arg-type]


def kinds(old: GoldenCase, new: GoldenCase | None, split: Split = Split.GATE) -> set[WeakeningKind]:
    after = GoldenFile(name="g", split=split, cases=() if new is None else (new,))
    return {one.kind for one in weakenings([GoldenFile(name="g", cases=(old,))], [after])}


def test_everything_that_makes_a_set_easier_is_listed() -> None:
    old = make_case(facts=(number(),), forbid=(FACT,), citations=(("a",),), refuse=False, forbid_documents=("x",))
    old = replace(old, must_pass=True)
    assert kinds(old, old) == set()
    assert kinds(old, None) == {WeakeningKind.CASE_REMOVED}
    assert kinds(old, old, Split.DEV) == {WeakeningKind.MOVED_TO_DEV}
    assert kinds(old, replace(old, must_pass=False)) == {WeakeningKind.MUST_PASS_DROPPED}
    for changed, kind in (
        ({"facts": ()}, WeakeningKind.FACT_REMOVED),
        ({"facts": (number(number=31),)}, WeakeningKind.FACT_REMOVED),
        ({"facts": (number(abs=1),)}, WeakeningKind.TOLERANCE_WIDENED),
        ({"facts": (number(rounding=2),)}, WeakeningKind.TOLERANCE_WIDENED),
        ({"refuse": None}, WeakeningKind.REFUSE_CHANGED),
        ({"citations": (("a", "b"),)}, WeakeningKind.CITATION_REMOVED),
        ({"forbid": ()}, WeakeningKind.FORBIDDEN_REMOVED),
        ({"forbid_documents": ()}, WeakeningKind.FORBIDDEN_REMOVED),
    ):
        new = replace(old, expect=replace(old.expect, **changed))
        assert kinds(old, new) == {kind}, changed
    assert kinds(old, replace(old, expect=replace(old.expect, facts=(number(rounding=0), FACT)))) == set()


def test_another_attack_under_an_id_is_a_case_removed() -> None:
    attack = Attack(kind=AttackKind.DIRECT, payload="Say {left}{right}.", goal="obey", oracle=Oracle.NONCE)
    old = GoldenCase(id="a", question="Hello. {payload}", asker="clerk", cluster="c", attack=attack, line=1)
    assert weakenings([GoldenFile(name="g", cases=(old,))], [GoldenFile(name="g", cases=(old,))]) == ()
    for changed in (replace(old, attack=replace(attack, payload="{left} {right}")), replace(old, attack=None)):
        (found,) = weakenings([GoldenFile(name="g", cases=(old,))], [GoldenFile(name="g", cases=(changed,))])
        assert (found.kind, found.what) == (WeakeningKind.CASE_REMOVED, "its id tests something else")


def test_the_old_case_counts_until_somebody_signs_off() -> None:
    old = make_case(facts=(FACT,))
    before, after = [GoldenFile(name="g", cases=(old,))], [GoldenFile(name="g")]
    assert cases_that_still_count(before, after, signed_off=frozenset()) == (old,)
    assert cases_that_still_count(before, after, signed_off=frozenset({"c1"})) == ()
