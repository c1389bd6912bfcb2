"""Whatever text stands in a setting, each reader of YAML gets it back, and Helm takes none for a template."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pilotage.adapters.targets.tree import Setting, Tree, as_template, as_yaml, plain

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES: st.SearchStrategy[Tree] = st.recursive(
    TEXT | st.integers(-(2**31), 2**31) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Tree) -> None:
    assert yaml.safe_load(as_yaml({"value": value})) == {"value": value}


@pytest.mark.parametrize("text", ["y", "No", "on", "1e3", "012", "0x1f", "12:30", "~", "null", "", "- a", "a: b", "#x"])
def test_text_that_some_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert as_yaml({"key": text}) == f"key: {json.dumps(text)}\n"


def test_text_that_looks_like_a_template_is_no_template() -> None:
    tree: Tree = {"note": '{{ .Values.secret }} "x"', "image": Setting(path="image", value="a")}
    assert as_template(tree) == (
        'note: {{ "{{ .Values.secret }} \\"x\\"" | toJson }}\nimage: {{ .Values.image | toJson }}\n'
    )
    assert plain(tree) == {"note": '{{ .Values.secret }} "x"', "image": "a"}


def test_a_setting_that_is_empty_is_left_out_for_kubectl_and_kept_for_helm() -> None:
    tree: Tree = {"selector": Setting(path="selector", value={}), "volume": {}}
    assert as_yaml(tree) == "volume: {}\n"
    assert as_template(tree).startswith("selector: {{ .Values.selector | toJson }}\n")
