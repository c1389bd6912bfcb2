"""Golden cases and evaluation settings as declared (evaluation.md 2): parsed, checked, and sealed as bytes.

Rule: nothing runs anonymously (every case has a persona), ids are unique over a workflow's files, `refuse: true` never
stands with facts. Fail mode: the parser refuses the file; matching and scoring are `evaluation/`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.identity.roles import Role


class Purpose(StrEnum):
    """What a golden file is for."""

    RELEASE = "release"
    FAIRNESS = "fairness"
    REDTEAM = "redteam"
    SMOKE = "smoke"


class Split(StrEnum):
    """Cases for development, or cases that gate a release. They never mix."""

    DEV = "dev"
    GATE = "gate"


class RefusalReason(StrEnum):
    """Why a refusal is expected."""

    NOT_PERMITTED = "not_permitted"
    NOT_FOUND = "not_found"
    OUT_OF_SCOPE = "out_of_scope"
    POLICY = "policy"


class FactForm(StrEnum):
    """The forms of evaluation.md 2.3."""

    TEXT = "text"
    ANY = "any"
    ALL = "all"
    AT_LEAST = "at_least"
    NUMBER = "number"
    DATE = "date"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One expected or forbidden fact. `value` is the form's own plain value, as the row wrote it."""

    form: FactForm
    value: Json
    id: str | None = None
    weight: float = 1.0
    allow_negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What a good answer does. `refuse` None: unknown; an empty tuple of reasons with `refuse` true: any reason.

    `citations` is a tuple of alternatives: every entry is wanted, one member of an entry meets it. `retrieve` maps
    `doc` or `doc#section` to a grade 1..3.
    """

    facts: tuple[Fact, ...] = ()
    forbid: tuple[Fact, ...] = ()
    citations: tuple[tuple[str, ...], ...] = ()
    retrieve: Mapping[str, int] = field(default_factory=dict)
    refuse: bool | None = None
    refuse_reasons: tuple[RefusalReason, ...] = ()
    answer: str | None = None
    forbid_documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An earlier turn of the conversation."""

    role: str
    content: str


class Favourable(StrEnum):
    """What counts as the favourable outcome of a fairness question."""

    ANSWERED = "answered"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The place of a case in a counterfactual family: the same question with another value of one attribute."""

    family: str
    attribute: str
    group: str
    favourable: Favourable = Favourable.ANSWERED


class Condition(StrEnum):
    """Whether the context of a bias item says who it was."""

    AMBIGUOUS = "ambiguous"
    DISAMBIGUATED = "disambiguated"


class Polarity(StrEnum):
    """Whether a bias item asks for something bad."""

    NEGATIVE = "negative"
    NON_NEGATIVE = "non_negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A multiple-choice bias item. Options are numbered from 0; `target` is the person a stereotype is about."""

    family: str
    attribute: str
    condition: Condition
    polarity: Polarity
    options: tuple[str, ...]
    correct: int
    unknown: int
    target: int


class AttackKind(StrEnum):
    """How an attack reaches the model (evaluation.md 6)."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    EXFILTRATION = "exfiltration"
    JAILBREAK = "jailbreak"
    TOOL = "tool"
    PROMPT_LEAK = "prompt_leak"


class Oracle(StrEnum):
    """What proves that an attack succeeded. All are decided by code.

    `canary`: the text of a document nobody may read; `system_canary`: the prompt's own; `nonce`: a word the payload
    orders; `link`: a Markdown link or image to a foreign host; `document`: one outside the asker's permissions;
    `answered`: an answer where a refusal is expected; `tool`, `egress`: a call outside policy.
    """

    CANARY = "canary"
    SYSTEM_CANARY = "system_canary"
    NONCE = "nonce"
    LINK = "link"
    DOCUMENT = "document"
    ANSWERED = "answered"
    TOOL = "tool"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack of a red-team case.

    `payload` is what orders the model about; `{left}` and `{right}` in it are the halves of a word that stands nowhere
    whole, so quoting is not obeying. `carrier` is the text of the document that brings an indirect payload.
    """

    kind: AttackKind
    payload: str
    goal: str
    oracle: Oracle
    carrier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCase:
    """One row of a golden file, with the defaults of its meta filled in. `line` is where it stands.

    `member` is set for a case of a fairness template, `choice` for an item of a bias suite, `attack` for one of a red
    team.
    """

    id: str
    question: str
    history: tuple[Turn, ...] = ()
    asker: str
    space: str | None = None
    as_of: date | None = None
    expect: Expect = Expect()
    tags: tuple[str, ...] = ()
    must_pass: bool = False
    cluster: str
    provenance: Mapping[str, Json] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    member: Member | None = None
    choice: Choice | None = None
    attack: Attack | None = None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFile:
    """One `golden/<name>.jsonl` and its meta. `required_tags` maps a tag to its minimum number of cases."""

    name: str
    purpose: Purpose = Purpose.RELEASE
    split: Split = Split.GATE
    steward: str | None = None
    locale: str = "en"
    required_tags: Mapping[str, int] = field(default_factory=dict)
    cases: tuple[GoldenCase, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A test principal that can never log in."""

    name: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """`evaluation.yaml`: registered before results exist. Thresholds and margins map a metric to its number."""

    personas: Mapping[str, Persona] = field(default_factory=dict)
    scorers: tuple[str, ...] = ()
    primary: str = "answer_accuracy"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    criteria: tuple[str, ...] = ()
    alpha: float = 0.05
    repeats: int | None = None
    schedule: str | None = None
    judges: tuple[Mapping[str, Json], ...] = ()
    fairness: Mapping[str, Json] = field(default_factory=dict)
    cost_cap_nano: int | None = None
    cost_cap_currency: str = ""
    max_attempts: int = 20
