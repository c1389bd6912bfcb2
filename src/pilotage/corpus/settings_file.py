"""Reads `corpora/<name>/corpus.yaml` and `acl.yaml`.

Rule: owner and steward are two different people; classification and region are required; an ACL names `user:`,
`group:` or `service:` names, and `group:everyone` must be written to mean everyone. Fail mode: every mistake at once;
no match in `acl.yaml` is nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from pilotage.core.fields import TEXT, Fields, Reader, choice, converted, list_of, map_of, matching, record
from pilotage.core.ids import CorpusName
from pilotage.core.located import Located, Problems
from pilotage.core.readers import CORPUS, DAYS, PERSON, SECONDS
from pilotage.corpus.cadence import CadenceProblem, parse_cadence
from pilotage.corpus.exclusions import pattern_problem
from pilotage.corpus.fields import ROW_KEYS, mapping_problems
from pilotage.corpus.globs import glob_problem
from pilotage.corpus.settings import (
    AclRule,
    Classification,
    CorpusSettings,
    DataStage,
    Exclusions,
    History,
    Recheck,
    Review,
    Source,
    SourceKind,
    acl_limit_s,
)

_ACL_FORM = re.compile(r"(user|group|service):(\S.{0,254})")
_LANGUAGE = matching(re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*"), "a language tag such as en or de")


def _read_acl_name(at: Located, problems: Problems) -> str:
    text = TEXT.read(at, problems)
    match = _ACL_FORM.fullmatch(text)
    if match is None:
        if text.strip():
            hint = "Write group:NAME, user:PERSON or service:NAME; group:everyone is every person of the workspace."
            problems.add(at, f"{text[:80]!r} is not an ACL name", hint)
    elif text != "group:everyone":
        problems.refer(f"acl {match[1]}", match[2], at)
    return text


_ACL: Reader[tuple[str, ...]] = list_of(Reader(read=_read_acl_name, stand_in=str), or_one=True)


def _read_glob(text: str) -> str:
    glob = unicodedata.normalize("NFC", text)  # as paths are: another spelling of a letter would match nothing
    if glob.startswith("/") or "\\" in glob or ".." in glob.split("/"):
        message = f"{text[:80]!r} leaves the folder. Write a path pattern inside it, such as hr/**."
        raise ValueError(message)
    problem = glob_problem(glob)
    if problem is not None:
        what, _, hint = problem.partition("; ")
        message = f"{text[:80]!r} {what}. {hint[:1].upper()}{hint[1:] or 'Write a path pattern such as hr/**'}."
        raise ValueError(message)
    return glob


def _read_title(text: str) -> str:
    if pattern_problem(text) is not None:
        message = f"{text[:80]!r} is not a linear-time pattern. Write RE2 syntax: no lookaround, no backreference."
        raise ValueError(message)
    return text


def _read_cadence(text: str) -> str:
    try:
        parse_cadence(text)
    except CadenceProblem as problem:
        what, _, hint = str(problem).partition("; ")
        message = f"{what}. {hint[:1].upper()}{hint[1:]}."
        raise ValueError(message) from None
    return text


_LONGEST_ACL_AGE_S = 3_650 * 86_400
_GLOB: Reader[str] = converted(_read_glob, "")
CADENCE: Reader[str] = converted(_read_cadence, "")
"""An interval or a cron line, kept as written."""


def parse_acl_rules(at: Located, problems: Problems) -> tuple[AclRule, ...]:
    """Read `acl.yaml` (or `acl_rules`): path globs to ACL names."""
    rules: Mapping[str, tuple[str, ...]] = map_of(_ACL).read(at, problems)
    children = at.node if isinstance(at.node, Mapping) else {}
    globs = {
        glob: _GLOB.read(Located(file=child.file, line=child.line, path=glob, node=glob), problems)
        for glob, child in children.items()
    }
    return tuple(AclRule(glob=globs.get(glob, glob), names=names) for glob, names in rules.items())


_ACL_RULES: Reader[tuple[AclRule, ...]] = Reader(read=parse_acl_rules, stand_in=tuple)


def parse_corpus(fields: Fields, *, name: CorpusName, acl_file: tuple[AclRule, ...]) -> CorpusSettings:
    """Read one corpus; `acl_file` are the rules of its `acl.yaml`."""
    classification = fields.need("classification", choice(Classification))
    source = fields.get("source", _SOURCE, Source(kind=SourceKind.FOLDER, path="documents"))
    acl_max_age_s = fields.get("acl_max_age", SECONDS, None)
    settings = CorpusSettings(
        name=name,
        source=source,
        owner=fields.need("owner", PERSON),
        steward=fields.need("steward", PERSON),
        classification=classification,
        region=fields.need("region", TEXT),
        cadence=fields.get("cadence", CADENCE, None),
        retention_days=fields.get("retention", DAYS, None),
        exclusions=fields.get("exclusions", record(_exclusions), Exclusions()),
        acl=fields.get("acl", _ACL, ()),
        acl_rules=fields.get("acl_rules", _ACL_RULES, ()) + acl_file,
        acl_max_age_s=acl_limit_s(acl_max_age_s, classification, has_acls_elsewhere=source.kind.has_acls_elsewhere),
        recheck=fields.get("recheck", choice(Recheck), Recheck.OFF),
        data_stage=fields.get("data_stage", choice(DataStage), DataStage.PRODUCTION),
        review=fields.get("review", choice(Review), Review.TWO_PERSON),
        history=fields.get("history", choice(History), History.LATEST),
        fields=fields.get("fields", record(_row_keys), {}),
        language=fields.get("language", _LANGUAGE, "en"),
        derived_from=fields.get("derived_from", CORPUS, None),
    )
    if settings.owner and settings.owner == settings.steward:
        what = f"Owner and steward are the same person ({settings.owner})"
        fields.problem("steward", what, "Name two people: the steward accepts what the owner is accountable for.")
    if settings.recheck is not Recheck.OFF and not source.kind.has_a_say:
        what = f"recheck: {settings.recheck}, but a {source.kind} cannot be asked who may read, so nobody could"
        fields.problem("recheck", what, "Write `recheck: off`; acl_max_age limits how old its permissions get.")
    if acl_max_age_s is not None and acl_max_age_s > _LONGEST_ACL_AGE_S:
        hint = "Write at most 3650d, or leave it out: then no ACL ages."
        fields.problem("acl_max_age", "acl_max_age is longer than ten years", hint)
    return settings


def _read_source(at: Located, problems: Problems) -> Source:
    if isinstance(at.node, str):
        kind = choice(SourceKind).read(at, problems)
        return Source(kind=kind, path="documents")
    return record(_source).read(at, problems)


def _source(fields: Fields) -> Source:
    kind = fields.need("kind", choice(SourceKind))
    path = fields.get("path", TEXT, "documents")
    if ".." in path.split("/"):
        fields.problem(
            "path", f"The path {path!r} leaves the corpus folder", "Write a folder inside it, or a full path."
        )
    return Source(kind=kind, path=path)


_SOURCE: Reader[Source] = Reader(read=_read_source, stand_in=lambda: Source(kind=SourceKind.FOLDER, path="documents"))


def _exclusions(fields: Fields) -> Exclusions:
    return Exclusions(
        globs=fields.get("globs", list_of(_GLOB, or_one=True), ()),
        titles=fields.get("titles", list_of(converted(_read_title, ""), or_one=True), ()),
        classifications=fields.get("classifications", list_of(choice(Classification), or_one=True), ()),
        older_than_days=fields.get("older_than", DAYS, None),
    )


def _row_keys(fields: Fields) -> Mapping[str, str]:
    found = {key: fields.get(key, TEXT, None) for key in ROW_KEYS}
    mapping = {key: text for key, text in found.items() if text is not None}
    for key, what in mapping_problems(mapping).items():
        said, _, hint = what.partition("; ")
        fields.problem(key, f"{mapping[key]!r} {said}", f"{hint[:1].upper()}{hint[1:]}.")
    return mapping
