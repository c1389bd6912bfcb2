"""Roles, actions and the table of who may do what (gates.md 8). Everything not listed is refused.

Rule: the table alone decides authority; separation of duties, seats and "where named" are checked by the use case on
top of it. A grant may be limited `within` gates, tiers or severities. Fail mode: a Refusal that names the roles that
would be allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal


class Role(StrEnum):
    """Every role of the bank's teams, and the four that Pilotage itself needs."""

    LEAD_ML_ENGINEER = "lead-ml-engineer"
    DATA_SCIENTIST = "data-scientist"
    ML_ENGINEER = "ml-engineer"
    ML_OPS_ENGINEER = "ml-ops-engineer"
    TECH_LEAD = "tech-lead"
    SENIOR_ENGINEER = "senior-engineer"
    DEVOPS_LEAD = "devops-lead"
    PLATFORM_ENGINEER = "platform-engineer"
    QA_LEAD = "qa-lead"
    TEST_ENGINEER = "test-engineer"
    SECURITY_ENGINEER = "security-engineer"
    SECURITY_ARCHITECT = "security-architect"
    COMPLIANCE_OFFICER = "compliance-officer"
    PRIVACY_OFFICER = "privacy-officer"
    LEGAL = "legal"
    DATA_GOVERNANCE_LEAD = "data-governance-lead"
    REGULATORY_AFFAIRS = "regulatory-affairs"
    MODEL_RISK = "model-risk"
    OPERATIONS_MANAGER = "operations-manager"
    SUPPORT_ENGINEER = "support-engineer"
    ON_CALL = "on-call"
    BUSINESS_OWNER = "business-owner"
    PRODUCT_OWNER = "product-owner"
    BUSINESS_ANALYST = "business-analyst"
    UAT_PARTICIPANT = "uat-participant"
    IT_DIRECTOR = "it-director"
    BUSINESS_LEADERSHIP = "business-leadership"
    BUSINESS_SPONSOR = "business-sponsor"
    SECURITY_DIRECTOR = "security-director"
    RISK_MANAGEMENT = "risk-management"
    OPERATIONS_LEAD = "operations-lead"
    EXECUTIVE_SPONSOR = "executive-sponsor"
    CORPUS_STEWARD = "corpus-steward"
    REVIEWER = "reviewer"
    INTEGRATION_PARTNER = "integration-partner"
    TRAINING_TEAM = "training-team"
    AUDITOR = "auditor"
    WORKSPACE_ADMIN = "workspace-admin"
    SERVICE = "service"


DERIVED_ROLES = frozenset({Role.CORPUS_STEWARD, Role.SERVICE})
"""Roles no file grants: owner and steward of the corpus at hand (corpus.yaml), and a service that holds a key."""


def parse_role(text: str) -> Role:
    """Return the role of a name; raise UsageError with every name there is."""
    try:
        return Role(text)
    except ValueError:
        known = ", ".join(sorted(role.value for role in Role))
        raise UsageError("ROLE_UNKNOWN", f"{text[:60]!r} is no role.", hint=f"Write one of: {known}.") from None


class Action(StrEnum):
    """Everything a role can permit. `within` of a grant is noted where it applies."""

    ASK = "ask"
    READ = "read"
    SEAL = "seal"
    EDIT_PARTS = "edit_parts"
    EDIT_GOLDEN = "edit_golden"
    ATTACH_CLAIMED = "attach_claimed"
    ATTACH_PUSHED = "attach_pushed"
    VOTE = "vote"  # within: gate
    PROMOTE = "promote"  # within: tier
    ROLLOUT_UP = "rollout_up"  # within: tier
    PAUSE = "pause"
    RESUME = "resume"
    DECIDE_STEP = "decide_step"  # where the step's `decide` names the role
    ROLL_BACK = "roll_back"
    DECLARE_HARD_EVENT = "declare_hard_event"
    ACCEPT_RISK = "accept_risk"  # within: severity
    QUARANTINE = "quarantine"
    REVOKE = "revoke"  # with a second person
    ACCEPT_VERSION = "accept_version"
    TAKE_DOWN = "take_down"
    EDIT_SPACE = "edit_space"
    EDIT_KPIS = "edit_kpis"
    EDIT_BUDGETS = "edit_budgets"
    MANAGE_INCIDENT = "manage_incident"
    DRILL = "drill"
    FULL_DRILL = "full_drill"
    FREEZE = "freeze"
    START_EMERGENCY = "start_emergency"
    CONFIRM_EMERGENCY = "confirm_emergency"  # the second person
    TRIAGE = "triage"  # read redacted interactions, review corrections and drafts
    AUDIT = "audit"  # read everything, exports and disclosures
    EDIT_POLICY = "edit_policy"  # roles, roster, gates
    MITIGATE = "mitigate"  # a finding of a fairness run
    CLOSE_MITIGATION = "close_mitigation"  # never one's own
    MANAGE_KEYS = "manage_keys"  # for others; a person may hold keys of their own in local mode


# The beginning of a sentence about an action, with where it is done behind "|".
_DOING: Mapping[Action, str] = MappingProxyType(
    {
        Action.ASK: "Asking",
        Action.READ: "Reading this",
        Action.SEAL: "Sealing a release",
        Action.EDIT_PARTS: "Editing the parts of a release",
        Action.EDIT_GOLDEN: "Editing a golden set",
        Action.ATTACH_CLAIMED: "Adding evidence",
        Action.ATTACH_PUSHED: "Pushing evidence as a machine",
        Action.VOTE: "Voting| at {}",
        Action.PROMOTE: "Letting a release into a space| of tier {}",
        Action.ROLLOUT_UP: "Giving a release more traffic| in tier {}",
        Action.PAUSE: "Pausing a rollout",
        Action.RESUME: "Resuming a rollout",
        Action.DECIDE_STEP: "Deciding on a step of a rollout",
        Action.ROLL_BACK: "Rolling a release back",
        Action.DECLARE_HARD_EVENT: "Declaring an event that takes a release back at once",
        Action.ACCEPT_RISK: "Accepting a risk| of severity {}",
        Action.QUARANTINE: "Quarantining a release",
        Action.REVOKE: "Revoking a release",
        Action.ACCEPT_VERSION: "Deciding on a version of a corpus",
        Action.TAKE_DOWN: "Taking a document down",
        Action.EDIT_SPACE: "Editing a space",
        Action.EDIT_KPIS: "Editing key figures",
        Action.EDIT_BUDGETS: "Editing budgets",
        Action.MANAGE_INCIDENT: "Managing an incident",
        Action.DRILL: "Running a drill",
        Action.FULL_DRILL: "Running a full drill",
        Action.FREEZE: "Freezing releases",
        Action.START_EMERGENCY: "Opening an emergency change",
        Action.CONFIRM_EMERGENCY: "Confirming an emergency change",
        Action.TRIAGE: "Reviewing answers",
        Action.AUDIT: "Auditing",
        Action.EDIT_POLICY: "Editing roles and gates",
        Action.MITIGATE: "Opening a mitigation",
        Action.CLOSE_MITIGATION: "Closing a mitigation",
        Action.MANAGE_KEYS: "Managing keys of others",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Permission for one action; `within` limits it (empty: no limit), `second` are roles of which one must join."""

    action: Action
    within: frozenset[str] = frozenset()
    second: frozenset[Role] = frozenset()


def _grants(*plain: Action, **within: str) -> tuple[Grant, ...]:
    limited = tuple(Grant(action=Action(name), within=frozenset(words.split())) for name, words in within.items())
    return tuple(Grant(action=action) for action in plain) + limited


_TIERS = "sandbox dev qa staging production"
_BUILDER = _grants(Action.SEAL, Action.ATTACH_CLAIMED, Action.EDIT_PARTS, Action.MITIGATE, promote="sandbox dev")
_ENGINEER = _grants(Action.SEAL, Action.ATTACH_CLAIMED, vote="code-review", promote="dev")
_PLATFORM = _grants(Action.ATTACH_CLAIMED, Action.ROLL_BACK, Action.EDIT_SPACE, promote=_TIERS, rollout_up=_TIERS)
_TESTER = _grants(Action.ATTACH_CLAIMED, Action.EDIT_GOLDEN, promote="qa")
_SECURITY = _grants(Action.ATTACH_CLAIMED, Action.PAUSE, Action.ROLL_BACK, Action.QUARANTINE)
_COMPLIANCE = _grants(Action.ATTACH_CLAIMED, Action.PAUSE, vote="compliance")
_PRIVACY = (*_COMPLIANCE, *_grants(Action.DECIDE_STEP, Action.DECLARE_HARD_EVENT, Action.TAKE_DOWN))
_SUPPORT = _grants(
    Action.ATTACH_CLAIMED, Action.PAUSE, Action.ROLL_BACK, Action.MANAGE_INCIDENT, Action.DRILL, Action.FREEZE
)
_SEAT = _grants(Action.PAUSE, vote="cab")
_REVOKER = (Grant(action=Action.REVOKE, second=frozenset(Role) - DERIVED_ROLES),)

EVERY_MEMBER: tuple[Grant, ...] = _grants(Action.ASK, Action.READ)
"""What every authenticated person of the workspace may do; documents stay behind their ACLs."""

PERMISSIONS: Mapping[Role, tuple[Grant, ...]] = MappingProxyType(
    {
        Role.LEAD_ML_ENGINEER: _BUILDER,
        Role.DATA_SCIENTIST: _BUILDER,
        Role.ML_ENGINEER: _BUILDER,
        Role.ML_OPS_ENGINEER: _grants(
            Action.SEAL,
            Action.ATTACH_CLAIMED,
            Action.ROLL_BACK,
            Action.PAUSE,
            promote="sandbox dev qa",
            rollout_up="dev qa",
        ),
        Role.TECH_LEAD: _ENGINEER,
        Role.SENIOR_ENGINEER: _ENGINEER,
        Role.DEVOPS_LEAD: (*_PLATFORM, *_grants(vote="dev-exit")),
        Role.PLATFORM_ENGINEER: _PLATFORM,
        Role.QA_LEAD: (*_TESTER, *_grants(vote="qa")),
        Role.TEST_ENGINEER: _TESTER,
        Role.SECURITY_ENGINEER: _SECURITY,
        Role.SECURITY_ARCHITECT: _SECURITY,
        Role.COMPLIANCE_OFFICER: (
            *_COMPLIANCE,
            *_grants(Action.DECLARE_HARD_EVENT, Action.MITIGATE, Action.CLOSE_MITIGATION),
            *_REVOKER,
        ),
        Role.PRIVACY_OFFICER: _PRIVACY,
        Role.LEGAL: _PRIVACY,
        Role.DATA_GOVERNANCE_LEAD: (*_COMPLIANCE, *_grants(Action.TAKE_DOWN)),
        Role.REGULATORY_AFFAIRS: _grants(Action.ATTACH_CLAIMED),
        Role.MODEL_RISK: _grants(
            Action.ATTACH_CLAIMED, Action.MITIGATE, Action.CLOSE_MITIGATION, vote="model-validation"
        ),
        Role.OPERATIONS_MANAGER: (*_SUPPORT, *_grants(Action.RESUME, vote="uat")),
        Role.SUPPORT_ENGINEER: _SUPPORT,
        Role.ON_CALL: (*_SUPPORT, *_grants(Action.START_EMERGENCY)),
        Role.BUSINESS_OWNER: _grants(
            Action.ATTACH_CLAIMED,
            Action.DECIDE_STEP,
            Action.EDIT_KPIS,
            Action.EDIT_BUDGETS,
            vote="uat",
            accept_risk="low",
        ),
        Role.PRODUCT_OWNER: _grants(Action.ATTACH_CLAIMED, Action.EDIT_KPIS),
        Role.BUSINESS_ANALYST: _grants(Action.ATTACH_CLAIMED, Action.EDIT_KPIS),
        Role.UAT_PARTICIPANT: _grants(Action.ATTACH_CLAIMED, vote="uat"),
        Role.IT_DIRECTOR: _SEAT,
        Role.BUSINESS_LEADERSHIP: _SEAT,
        Role.BUSINESS_SPONSOR: _SEAT,
        Role.SECURITY_DIRECTOR: (*_SEAT, *_grants(Action.CONFIRM_EMERGENCY), *_REVOKER),
        Role.RISK_MANAGEMENT: (
            *_SEAT,
            *_grants(accept_risk="low medium"),
            Grant(action=Action.ACCEPT_RISK, within=frozenset({"high"}), second=frozenset({Role.EXECUTIVE_SPONSOR})),
        ),
        Role.OPERATIONS_LEAD: _grants(
            Action.PAUSE,
            Action.RESUME,
            Action.DECIDE_STEP,
            Action.ROLL_BACK,
            Action.START_EMERGENCY,
            Action.CONFIRM_EMERGENCY,
            Action.FULL_DRILL,
            vote="cab go-live",
        ),
        Role.EXECUTIVE_SPONSOR: (
            *_grants(vote="cab"),
            Grant(action=Action.ACCEPT_RISK, within=frozenset({"high"}), second=frozenset({Role.RISK_MANAGEMENT})),
        ),
        Role.CORPUS_STEWARD: _grants(Action.ATTACH_CLAIMED, Action.ACCEPT_VERSION, Action.TAKE_DOWN),
        Role.REVIEWER: _grants(Action.TRIAGE),
        Role.INTEGRATION_PARTNER: _grants(Action.ATTACH_CLAIMED),
        Role.TRAINING_TEAM: _grants(Action.ATTACH_CLAIMED),
        Role.AUDITOR: _grants(Action.AUDIT),
        Role.WORKSPACE_ADMIN: _grants(Action.EDIT_POLICY, Action.MANAGE_KEYS),
        Role.SERVICE: _grants(Action.SEAL, Action.ATTACH_PUSHED, Action.PROMOTE, Action.ROLL_BACK),
    }
)


VOTING_GATES = frozenset(
    gate for grants in PERMISSIONS.values() for grant in grants if grant.action is Action.VOTE for gate in grant.within
)
"""The gates the table names; a workspace may declare others."""


def grant_for(roles: Iterable[Role], action: Action, *, within: str = "") -> Grant | None:
    """Return a grant of the action at `within` (gate, tier or severity), the least conditional first; None if none."""
    held = frozenset(roles)
    grants = [grant for role in held for grant in PERMISSIONS[role]]
    if Role.SERVICE not in held:
        grants.extend(EVERY_MEMBER)
    fitting = [g for g in grants if g.action is action and (not g.within or within in g.within)]
    return min(fitting, key=lambda grant: len(grant.second), default=None)


def said(action: Action, *, within: str = "") -> str:
    """Return what somebody does as the beginning of a sentence; `within` is a gate, tier or severity."""
    doing, _, place = _DOING[action].partition("|")
    return doing + (place.format(within) if within else "")


def may(roles: Iterable[Role], action: Action, *, within: str = "") -> Refusal | None:
    """Return None when one of the roles permits the action at `within`, else the refusal with its reason."""
    if grant_for(roles, action, within=within) is not None:
        return None
    able = sorted(role.value for role in Role if grant_for((role,), action, within=within) is not None)
    named = f"the role {able[0]}" if len(able) == 1 else f"one of the roles {', '.join(able)}"
    hint = f"It takes {named}." if able else "No role permits it."
    text = f"{said(action, within=within)} is not permitted to you. {hint}"
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=within or None),))
