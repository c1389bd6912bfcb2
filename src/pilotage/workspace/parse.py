"""From the files of a workspace folder to one checked Workspace, or to every mistake at once.

`files` maps POSIX paths relative to the root to bytes; `adapters/workspace_files.py` reads them. Documents of corpora
are not read, only their `acl.yaml`. Fail mode: InvalidFiles; nothing is half-parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from pilotage.core.digest import digest_of, digest_of_json
from pilotage.core.fields import Fields, read_record
from pilotage.core.ids import SLUG, CorpusName, SpaceName, WorkflowName
from pilotage.core.located import Located, Problems
from pilotage.core.yaml_source import load_yaml, load_yaml_documents
from pilotage.corpus.settings import AclRule, CorpusSettings, inherit_limits
from pilotage.corpus.settings_file import parse_acl_rules, parse_corpus
from pilotage.space.settings import Space, Tier
from pilotage.space.settings_file import parse_space
from pilotage.workspace.checks import check_workspace
from pilotage.workspace.gate import Gate
from pilotage.workspace.gate_file import parse_gate
from pilotage.workspace.operations import Costs, Operations, Training
from pilotage.workspace.operations_file import parse_costs, parse_rotas, parse_training
from pilotage.workspace.organisation_file import Organisation, parse_organisation
from pilotage.workspace.portfolio import Portfolio
from pilotage.workspace.portfolio_file import parse_portfolio
from pilotage.workspace.records import Workspace
from pilotage.workspace.regulation import Regulation
from pilotage.workspace.regulation_file import parse_regulation
from pilotage.workspace.workflow import Workflow
from pilotage.workspace.workflow_folder import parse_workflow_folder

T = TypeVar("T")
ROOT_FILE = "pilotage.yaml"
_SLUG_HINT = "Use lower-case letters, digits and hyphens, at most 40 characters."


def parse_workspace(files: Mapping[str, bytes]) -> Workspace:
    """Return the declared workspace; raise InvalidFiles with every problem."""
    problems = Problems()
    organisation = _organisation(files, problems)
    if organisation is None:
        problems.raise_if_any()
        raise AssertionError("a missing organisation is always a problem")
    operations = _operations(files, problems)
    workspace = Workspace(
        id=organisation.id,
        organisation=organisation.organisation,
        timezone=organisation.timezone,
        ledger=organisation.ledger,
        identity=organisation.identity,
        people=organisation.people,
        groups=organisation.groups,
        roster=organisation.roster,
        seats=organisation.seats,
        order=tuple(organisation.tiers),
        spaces=_spaces(files, organisation.tiers, problems),
        gates=_gates(files, problems),
        workflows=_workflows(files, problems),
        corpora=_corpora(files, problems),
        gateway=organisation.gateway,
        providers=organisation.providers,
        channels=organisation.channels,
        exporters=organisation.exporters,
        freezes=organisation.freezes,
        trusted_keys=organisation.evidence.trusted_keys,
        evidence_sources=organisation.evidence.sources,
        operations=operations,
        gpu_selectors=organisation.gpu_selectors,
        denied_licences=organisation.denied_licences,
        backup_retention_days=organisation.backup_retention_days,
        index=organisation.index,
        kubernetes=organisation.kubernetes,
        digest=digest_of_json({path: digest_of(data) for path, data in files.items()}),
    )
    check_workspace(workspace, organisation.at, problems)
    _warn_unread(files, workspace, problems)
    problems.raise_if_any()
    return _with_warnings(workspace, problems)


def _with_warnings(workspace: Workspace, problems: Problems) -> Workspace:
    values = {name: getattr(workspace, name) for name in Workspace.__dataclass_fields__}
    return Workspace(**{**values, "warnings": tuple(sorted(set(problems.warnings)))})


def _organisation(files: Mapping[str, bytes], problems: Problems) -> Organisation | None:
    if ROOT_FILE not in files:
        problems.add_at(ROOT_FILE, 0, "The file is missing", "Run `pilotage init DIR`, or write it.")
        return None
    at = load_yaml(files[ROOT_FILE], file=ROOT_FILE, problems=problems)
    if at is None:
        return None
    organisation = read_record(at, problems, parse_organisation)
    # Without any of its keys every name of every other file would be reported as unknown.
    return organisation if isinstance(at.node, Mapping) else None


def _one(files: Mapping[str, bytes], path: str, parse: Callable[[Fields], T], problems: Problems) -> T | None:
    """Read one file of one YAML document; None when it is absent, or (with a problem) unreadable."""
    if path not in files:
        return None
    at = load_yaml(files[path], file=path, problems=problems)
    return None if at is None else read_record(at, problems, parse)


def _in_folder(files: Mapping[str, bytes], folder: str, suffix: str = ".yaml") -> list[str]:
    """Return the paths of the files directly in a folder, sorted."""
    return sorted(
        path for path in files if path.endswith(suffix) and PurePosixPath(path).parent == PurePosixPath(folder)
    )


def _subfolders(files: Mapping[str, bytes], folder: str, problems: Problems) -> list[str]:
    """Return the names of the folders below `folder`, reporting those that cannot be names."""
    parts = [PurePosixPath(path).parts for path in files]
    names = sorted({found[1] for found in parts if found[0] == folder and len(found) > 2})
    for name in names:
        if SLUG.fullmatch(name) is None:
            problems.add_at(f"{folder}/{name}", 0, f"{name[:60]!r} cannot be a name", _SLUG_HINT)
    return [name for name in names if SLUG.fullmatch(name) is not None]


def _spaces(
    files: Mapping[str, bytes], tiers: Mapping[SpaceName, Tier], problems: Problems
) -> Mapping[SpaceName, Space]:
    spaces: dict[SpaceName, Space] = {}
    for path in _in_folder(files, "spaces"):
        name = SpaceName(PurePosixPath(path).stem)
        tier = tiers.get(name)
        if tier is None:
            hint = f"Add {{name: {name}, tier: ...}} to spaces in {ROOT_FILE}."
            problems.add_at(path, 0, f"The space {name!r} has no place in the promotion order", hint)
        space = _one(files, path, partial(parse_space, tier=tier or Tier.DEV), problems)
        if space is None:
            continue
        if space.name and space.name != name:
            what = f"deployment_space is {space.name!r} and the file is called {name}.yaml"
            problems.add_at(path, 1, what, "Give both the same name.")
        spaces[name] = space
    ordered = [name for name in tiers if name in spaces] + [name for name in spaces if name not in tiers]
    return {name: spaces[name] for name in ordered}


def _gates(files: Mapping[str, bytes], problems: Problems) -> Mapping[str, Gate]:
    gates: dict[str, Gate] = {}
    parse = partial(parse_gate, regulations=_regulations(files, problems))
    for path in _in_folder(files, "gates"):
        for at in load_yaml_documents(files[path], file=path, problems=problems):
            gate = read_record(at, problems, parse)
            if gate.name in gates:
                problems.add(at, f"The gate {gate.name!r} is defined twice", "Keep one definition.")
            if gate.name:
                gates[gate.name] = gate
    return gates


def _regulations(files: Mapping[str, bytes], problems: Problems) -> Mapping[str, Regulation]:
    found: dict[str, Regulation] = {}
    for path in _in_folder(files, "regulations"):
        one = _one(files, path, parse_regulation, problems)
        if one is None:
            continue
        if one.name and one.name != PurePosixPath(path).stem:
            what = f"checklist is {one.name!r} and the file is called {PurePosixPath(path).name}"
            problems.add_at(path, 1, what, "Give both the same name.")
        found[one.name] = one
    return found


def _workflows(files: Mapping[str, bytes], problems: Problems) -> Mapping[WorkflowName, Workflow]:
    found: dict[WorkflowName, Workflow] = {}
    for name in _subfolders(files, "workflows", problems):
        prefix = f"workflows/{name}/"
        inside = {path.removeprefix(prefix): data for path, data in files.items() if path.startswith(prefix)}
        workflow = parse_workflow_folder(WorkflowName(name), inside, folder=prefix, problems=problems)
        if workflow is not None:
            found[workflow.name] = workflow
    return found


def _corpora(files: Mapping[str, bytes], problems: Problems) -> Mapping[CorpusName, CorpusSettings]:
    found: dict[CorpusName, CorpusSettings] = {}
    for name in _subfolders(files, "corpora", problems):
        path = f"corpora/{name}/corpus.yaml"
        if path not in files:
            problems.add_at(path, 0, "The file is missing", "Write source, owner, steward, classification, region.")
            continue
        rules = _acl_file(files, name, problems)
        corpus = _one(files, path, partial(parse_corpus, name=CorpusName(name), acl_file=rules), problems)
        if corpus is not None:
            found[corpus.name] = corpus
    return inherit_limits(found)


def _acl_file(files: Mapping[str, bytes], corpus: str, problems: Problems) -> tuple[AclRule, ...]:
    rules: list[AclRule] = []
    for path in (f"corpora/{corpus}/acl.yaml", f"corpora/{corpus}/documents/acl.yaml"):
        if path in files:
            at = load_yaml(files[path], file=path, problems=problems)
            rules.extend(parse_acl_rules(at, problems) if at is not None else ())
    return tuple(rules)


def _operations(files: Mapping[str, bytes], problems: Problems) -> Operations:
    return Operations(
        rotas=_one(files, "oncall.yaml", parse_rotas, problems) or {},
        costs=_one(files, "costs.yaml", parse_costs, problems) or Costs(),
        portfolio=_one(files, "portfolio.yaml", parse_portfolio, problems) or Portfolio(),
        training=_one(files, "training.yaml", parse_training, problems) or Training(),
    )


_ROOT_FILES = frozenset({ROOT_FILE, "oncall.yaml", "costs.yaml", "portfolio.yaml", "training.yaml"})
_WORKFLOW_FILES = frozenset(
    {"workflow.yaml", "prompt.md", "model.yaml", "retrieval.yaml", "guard.yaml", "evaluation.yaml"}
)


def _warn_unread(files: Mapping[str, bytes], workspace: Workspace, problems: Problems) -> None:
    """Warn about declared-looking files that nothing reads: a misspelt folder would otherwise be silent."""
    for path in files:
        if path.endswith((".yaml", ".yml", ".jsonl")) and not _is_read(path):
            nowhere = Located(file=path, line=0, path="", node=None)
            hint = "Check its folder and name (.yaml, not .yml), or remove it."
            problems.warn(nowhere, f"The file is not part of workspace {workspace.id!r} and was not read", hint)


def _is_read(path: str) -> bool:
    match PurePosixPath(path).parts:
        case (name,):
            return name in _ROOT_FILES
        case ("spaces" | "gates" | "regulations", name):
            return name.endswith(".yaml")
        case ("workflows", _, name):
            return name in _WORKFLOW_FILES
        case ("workflows", _, "golden", name):
            return name.endswith((".jsonl", ".meta.yaml"))
        case ("corpora", _, "corpus.yaml" | "acl.yaml") | ("corpora", _, "documents", *_):
            return True
        case ("evidence", *_):  # files to attach: `pilotage evidence add` reads them, when a person names one
            return True
        case _:
            return False
