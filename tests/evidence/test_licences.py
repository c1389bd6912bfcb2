"""A licence is judged by its expression or name against the deny list; what nobody can judge is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.evidence.licences import Standing, all_of, judge_expression, judge_name

DENIED = frozenset({"AGPL-3.0-only", "AGPL-3.0-or-later", "SSPL-1.0", "BUSL-1.1", "Acme Proprietary"})


@pytest.mark.feature("D5.8")
@pytest.mark.parametrize(
    ("expression", "standing"),
    [
        ("MIT", Standing.ALLOWED),
        ("AGPL-3.0-only", Standing.DENIED),
        ("agpl-3.0-ONLY", Standing.DENIED),
        ("AGPL-3.0", Standing.DENIED),
        ("AGPL-3.0+", Standing.DENIED),
        ("AGPL-1.0-only", Standing.ALLOWED),
        ("MIT OR AGPL-3.0-only", Standing.ALLOWED),
        ("AGPL-3.0-only OR SSPL-1.0", Standing.DENIED),
        ("MIT AND AGPL-3.0-only", Standing.DENIED),
        ("MIT AND (AGPL-3.0-only OR Apache-2.0)", Standing.ALLOWED),
        ("MIT OR Apache-2.0 AND SSPL-1.0", Standing.ALLOWED),
        ("(MIT OR Apache-2.0) AND SSPL-1.0", Standing.DENIED),
        ("AGPL-3.0-only WITH Some-exception", Standing.DENIED),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Standing.ALLOWED),
        ("MIT OR NOASSERTION", Standing.ALLOWED),
        ("MIT AND NOASSERTION", Standing.UNKNOWN),
        ("LicenseRef-own", Standing.ALLOWED),
        ("DocumentRef-a:LicenseRef-own", Standing.ALLOWED),
        ("", Standing.UNKNOWN),
        ("NOASSERTION", Standing.UNKNOWN),
        ("NONE", Standing.UNKNOWN),
        ("Apache License 2.0", Standing.UNKNOWN),
        ("MIT AND", Standing.UNKNOWN),
        ("OR MIT", Standing.UNKNOWN),
        ("(MIT", Standing.UNKNOWN),
        ("MIT)", Standing.UNKNOWN),
        ("()", Standing.UNKNOWN),
        ("MIT WITH", Standing.UNKNOWN),
        ("WITH x", Standing.UNKNOWN),
        ("MIT WITH (a)", Standing.UNKNOWN),
        ("MIT; Apache", Standing.UNKNOWN),
    ],
)
def test_an_expression_stands_as_spdx_says(expression: str, standing: Standing) -> None:
    assert judge_expression(expression, DENIED) is standing


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("GNU Affero General Public License v3", Standing.DENIED),
        ("GNU Affero General Public License", Standing.DENIED),
        ("GNU Affero General Public License v1.0", Standing.ALLOWED),
        ("GNU General Public License v3", Standing.ALLOWED),
        ("GNU Lesser General Public License", Standing.ALLOWED),
        ("Server Side Public License", Standing.DENIED),
        ("acme proprietary", Standing.DENIED),
        ("Apache Software Licenses", Standing.ALLOWED),
        ("Unknown", Standing.UNKNOWN),
        (" ", Standing.UNKNOWN),
    ],
)
def test_a_plain_name_stands_by_the_family_it_names(name: str, standing: Standing) -> None:
    assert judge_name(name, DENIED) is standing


def test_a_bare_id_on_the_deny_list_covers_both_of_its_forms() -> None:
    denied = frozenset({"GPL-3.0"})
    assert judge_expression("GPL-3.0-only", denied) is Standing.DENIED
    assert judge_expression("GPL-3.0-or-later", denied) is Standing.DENIED
    assert judge_name("GPL v3", denied) is Standing.DENIED


def test_no_licence_at_all_is_unknown() -> None:
    assert all_of(()) is Standing.UNKNOWN


def test_nesting_of_any_depth_and_length_is_judged_or_unknown() -> None:
    assert judge_expression("(" * 900 + "MIT" + ")" * 900, DENIED) is Standing.ALLOWED
    assert judge_expression("(" * 90_000, DENIED) is Standing.UNKNOWN


@given(st.lists(st.sampled_from(["MIT", "AGPL-3.0-only", "AND", "OR", "WITH", "(", ")", "x", "é"]), max_size=30))
def test_no_expression_raises(tokens: list[str]) -> None:
    assert judge_expression(" ".join(tokens), DENIED) in Standing


@given(
    st.recursive(st.booleans(), lambda child: st.tuples(child, st.sampled_from(["AND", "OR"]), child), max_leaves=20)
)
def test_an_expression_is_the_boolean_formula_of_its_licences(tree: object) -> None:
    text, is_allowed = _formula(tree)
    assert judge_expression(text, DENIED) is (Standing.ALLOWED if is_allowed else Standing.DENIED)


def _formula(tree: object) -> tuple[str, bool]:
    if isinstance(tree, tuple):
        (left, allowed), (right, also) = _formula(tree[0]), _formula(tree[2])
        return f"({left} {tree[1]} {right})", (allowed and also) if tree[1] == "AND" else (allowed or also)
    return ("MIT", True) if tree else ("SSPL-1.0", False)
