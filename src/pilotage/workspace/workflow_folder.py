"""Reads one folder `workflows/<name>/`: every part a release seals, golden sets, documents and `workflow.yaml`.

Rule: case ids are unique over all golden files of the workflow. Fail mode: a missing part is a mistake that names the
file to write; nothing of the folder is used while one part is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pilotage.core.canonical import Json
from pilotage.core.fields import read_record
from pilotage.core.ids import WorkflowName
from pilotage.core.located import Located, Problems
from pilotage.core.pins import PinKind
from pilotage.core.yaml_source import load_yaml
from pilotage.guard.policy_file import parse_guard
from pilotage.release.model import ModelSettings, Provider
from pilotage.release.model_file import parse_model
from pilotage.release.prompt import parse_prompt
from pilotage.retrieval.settings_file import parse_retrieval
from pilotage.workspace.document_file import parse_document
from pilotage.workspace.evaluation_file import parse_evaluation
from pilotage.workspace.golden import EvaluationSettings, GoldenFile
from pilotage.workspace.golden_file import parse_golden
from pilotage.workspace.workflow import Workflow, WorkflowDocument, WorkflowSources
from pilotage.workspace.workflow_file import parse_declaration

T = TypeVar("T")
_YAML_FILES = ("workflow.yaml", "model.yaml", "retrieval.yaml", "guard.yaml", "evaluation.yaml")
_REQUIRED = ("workflow.yaml", "prompt.md", "model.yaml", "retrieval.yaml", "guard.yaml")


def parse_workflow_folder(
    name: WorkflowName, files: Mapping[str, bytes], *, folder: str, problems: Problems
) -> Workflow | None:
    """Read the folder's files (paths relative to it); None, with problems, when a part is missing or unreadable."""
    missing = [path for path in _REQUIRED if path not in files]
    for path in missing:
        problems.add_at(folder + path, 0, "The file is missing", f"A workflow has {', '.join(_REQUIRED)}.")
    loaded = {path: _load(files, path, folder, problems) for path in _YAML_FILES}
    golden = _golden(files, folder, problems)
    documents = _documents(files, folder, problems)
    evaluation = _with(loaded["evaluation.yaml"], lambda at: read_record(at, problems, parse_evaluation))
    prompt = parse_prompt(files.get("prompt.md", b"{passages}{question}"), file=f"{folder}prompt.md", problems=problems)
    declaration = _with(loaded["workflow.yaml"], lambda at: read_record(at, problems, parse_declaration))
    model = _with(loaded["model.yaml"], lambda at: _model(at, problems))
    retrieval = _with(loaded["retrieval.yaml"], lambda at: parse_retrieval(at, problems))
    guard = _with(loaded["guard.yaml"], lambda at: parse_guard(at, problems))
    if declaration is None or model is None or retrieval is None or guard is None:
        return None
    return Workflow(
        name=name,
        **{field: getattr(declaration, field) for field in type(declaration).__dataclass_fields__},
        prompt=prompt,
        model=model,
        retrieval=retrieval,
        guard=guard,
        evaluation=evaluation or EvaluationSettings(),
        golden=golden,
        documents={document.type: document for document in documents},
        sources=WorkflowSources(
            prompt=files.get("prompt.md", b""),
            workflow=_plain(loaded["workflow.yaml"]),
            model=_plain(loaded["model.yaml"]),
            retrieval=_plain(loaded["retrieval.yaml"]),
            guard=_plain(loaded["guard.yaml"]),
            golden={
                path: data for path, data in files.items() if path.startswith("golden/") or path == "evaluation.yaml"
            },
            documents={path: data for path, data in files.items() if path.startswith("documents/")},
        ),
    )


def _load(files: Mapping[str, bytes], path: str, folder: str, problems: Problems) -> Located | None:
    return load_yaml(files[path], file=folder + path, problems=problems) if path in files else None


def _with(at: Located | None, parse: Callable[[Located], T]) -> T | None:
    return None if at is None else parse(at)


def _plain(at: Located | None) -> Mapping[str, Json]:
    value = None if at is None else at.plain()
    return value if isinstance(value, Mapping) else {}


def _model(at: Located, problems: Problems) -> ModelSettings:
    """Read the model and ask for what only a workspace has: prices. A sealed release holds none."""
    model = parse_model(at, problems)
    if model.prices is None and model.provider is not Provider.EXTRACTIVE:
        hint = "Write prices: {currency, input, output} per million tokens, or prices: {unmetered: why}."
        problems.add(at, f"The model {model.model!r} has no price, so no budget can hold", hint)
    if model.pin_kind is PinKind.FLOATING:
        hint = "It will be refused from staging on; pin a dated version, a revision or weights."
        problems.warn(at, f"The model {model.model!r} is a floating alias that can change under you", hint)
    return model


def _golden(files: Mapping[str, bytes], folder: str, problems: Problems) -> tuple[GoldenFile, ...]:
    found: list[GoldenFile] = []
    seen: dict[str, str] = {}
    for path in sorted(path for path in files if path.startswith("golden/") and path.endswith(".jsonl")):
        stem = path.removeprefix("golden/").removesuffix(".jsonl")
        meta = files.get(f"golden/{stem}.meta.yaml")
        golden = parse_golden(stem, files[path], meta, file=folder + path, problems=problems)
        for case in golden.cases:
            place = f"{folder}{path}:{case.line}"
            first = seen.setdefault(case.id, place) if case.id else place
            if first != place:
                what = f"The case id {case.id!r} is taken (first at {first})"
                problems.add_at(folder + path, case.line, what, "Give each case of a workflow an id of its own.")
        found.append(golden)
    for path in sorted(path for path in files if path.startswith("golden/") and path.endswith(".meta.yaml")):
        if path.removesuffix(".meta.yaml") + ".jsonl" not in files:
            problems.add_at(folder + path, 0, "There are no cases beside it", "Write the .jsonl file, or remove it.")
    return tuple(found)


def _documents(files: Mapping[str, bytes], folder: str, problems: Problems) -> tuple[WorkflowDocument, ...]:
    paths = sorted(path for path in files if path.startswith("documents/") and path.endswith(".md"))
    read = [parse_document(files[path], file=folder + path, problems=problems) for path in paths]
    return tuple(document for document in read if document is not None)
