"""The closed list of what a ledger entry can say, `noun.verb_past`.

`subject` names the row or thing the entry is about, in one fixed form per noun, so that `ledger fsck` can compare state
rows with entries in both directions:

corpus.version_*   `<corpus>@<version>`        release.*       the release digest        interaction.*  interaction id
corpus.*, document.*  `<corpus>` or `<corpus>/<document>`      feedback.*  feedback id   takedown.*     takedown id
deployment.*       deployment id               route.*         `<space>/<workflow>`      key.*          key id
space.*            `<space>`                   deployment.drift_*   `<space>/<workflow>`
evidence.*         evidence id                 ledger.*        the origin of the log     person.*       pseudonym
report.*           the report's digest         channel.*      the channel's name
gate.*, rollout.*, rollback.*, evaluation.*, incident.*    the digest or the id the spec of that room names

Fail mode: a kind outside the list cannot be encoded. Kinds are added, never renamed: old entries keep their bytes.
"""

from __future__ import annotations

from enum import StrEnum


class EntryKind(StrEnum):
    """What happened. The part before the dot is the noun, the part after it a verb in the past tense."""

    WORKSPACE_INITIALISED = "workspace.initialised"
    WORKSPACE_CHANGED = "workspace.changed"

    CORPUS_CREATED = "corpus.created"
    CORPUS_VERSION_PROPOSED = "corpus.version_proposed"
    CORPUS_VERSION_ACCEPTED = "corpus.version_accepted"
    CORPUS_VERSION_REJECTED = "corpus.version_rejected"
    CORPUS_VERSION_FAILED = "corpus.version_failed"
    CORPUS_CONFIRMED_UNCHANGED = "corpus.confirmed_unchanged"
    CORPUS_DERIVED = "corpus.derived"

    DOCUMENT_ACL_CHANGED = "document.acl_changed"
    DOCUMENT_BLOCK_LIFTED = "document.block_lifted"
    DOCUMENT_HELD = "document.held"
    DOCUMENT_HOLD_LIFTED = "document.hold_lifted"

    TAKEDOWN_REQUESTED = "takedown.requested"
    TAKEDOWN_PURGED = "takedown.purged"
    TAKEDOWN_CONFIRMED = "takedown.confirmed"
    TAKEDOWN_HELD = "takedown.held"
    TAKEDOWN_FAILED = "takedown.failed"

    RELEASE_SEALED = "release.sealed"
    RELEASE_PRICED = "release.priced"
    RELEASE_DEPRECATED = "release.deprecated"
    RELEASE_QUARANTINED = "release.quarantined"
    RELEASE_RESTORED = "release.restored"
    RELEASE_RESTORATION_ASKED = "release.restoration_asked"
    RELEASE_REVOKED = "release.revoked"
    RELEASE_REVOCATION_ASKED = "release.revocation_asked"

    EVIDENCE_ATTACHED = "evidence.attached"
    EVIDENCE_READING_RECORDED = "evidence.reading_recorded"
    EVIDENCE_REJECTED = "evidence.rejected"
    EVIDENCE_WITHDRAWN = "evidence.withdrawn"

    GATE_SIGNED_OFF = "gate.signed_off"
    GATE_SIGN_OFF_WITHDRAWN = "gate.sign_off_withdrawn"
    GATE_RISK_ACCEPTED = "gate.risk_accepted"
    GATE_RISK_WITHDRAWN = "gate.risk_withdrawn"
    GATE_DELEGATED = "gate.delegated"
    GATE_DELEGATION_REVOKED = "gate.delegation_revoked"
    GATE_RECUSED = "gate.recused"
    GATE_DECIDED = "gate.decided"
    GATE_LAPSED = "gate.lapsed"
    GATE_LAPSE_ENDED = "gate.lapse_ended"
    GATE_EMERGENCY_OPENED = "gate.emergency_opened"
    GATE_EMERGENCY_CONFIRMED = "gate.emergency_confirmed"
    GATE_EMERGENCY_ENDED = "gate.emergency_ended"
    GATE_EMERGENCY_REVIEWED = "gate.emergency_reviewed"
    GATE_STANDARD_PROPOSED = "gate.standard_proposed"
    GATE_STANDARD_SIGNED = "gate.standard_signed"
    GATE_STANDARD_DECLARED = "gate.standard_declared"
    GATE_CONFIRMED = "gate.confirmed"
    GATE_PACK_FROZEN = "gate.pack_frozen"
    GATE_SESSION_CALLED = "gate.session_called"
    GATE_SESSION_ITEM_ADDED = "gate.session_item_added"
    GATE_SESSION_CLOSED = "gate.session_closed"
    GATE_QUESTION_ASKED = "gate.question_asked"
    GATE_QUESTION_ANSWERED = "gate.question_answered"
    GATE_CHANGE_REQUESTED = "gate.change_requested"
    GATE_CHANGE_CLOSED = "gate.change_closed"

    DEPLOYMENT_PROMOTED = "deployment.promoted"
    DEPLOYMENT_ROLLED_BACK = "deployment.rolled_back"
    DEPLOYMENT_RETIRED = "deployment.retired"
    DEPLOYMENT_DRIFT_FOUND = "deployment.drift_found"
    DEPLOYMENT_DRIFT_ENDED = "deployment.drift_ended"
    DEPLOYMENT_IDENTITY_FIXED = "deployment.identity_fixed"
    DEPLOYMENT_IDENTITY_CHANGED = "deployment.identity_changed"
    DEPLOYMENT_IDENTITY_ACCEPTED = "deployment.identity_accepted"

    ROUTE_CHANGED = "route.changed"
    ROUTE_PAUSED = "route.paused"
    ROUTE_RESUMED = "route.resumed"

    SPACE_HEALTH_CHANGED = "space.health_changed"
    SPACE_FAILED_OVER = "space.failed_over"
    SPACE_FAILED_BACK = "space.failed_back"

    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_STEP_STARTED = "rollout.step_started"
    ROLLOUT_PAUSED = "rollout.paused"
    ROLLOUT_RESUMED = "rollout.resumed"
    ROLLOUT_EXTENDED = "rollout.extended"
    ROLLOUT_OVERRULED = "rollout.overruled"
    ROLLOUT_VERDICT = "rollout.verdict"
    ROLLOUT_COMPLETED = "rollout.completed"
    ROLLOUT_ABORTED = "rollout.aborted"
    ROLLOUT_ROLLED_BACK = "rollout.rolled_back"
    ROLLOUT_PLANNED = "rollout.planned"
    ROLLOUT_REFUSED = "rollout.refused"
    ROLLOUT_SHADOW_STARTED = "rollout.shadow_started"
    ROLLOUT_PHASE_STARTED = "rollout.phase_started"
    ROLLOUT_PHASE_ENDED = "rollout.phase_ended"
    ROLLOUT_PAIRS_READ = "rollout.pairs_read"
    ROLLOUT_TEXTS_ERASED = "rollout.texts_erased"
    ROLLOUT_STEPPED = "rollout.stepped"
    ROLLOUT_VERDICT_GIVEN = "rollout.verdict_given"
    """What earlier versions wrote for `step_started` and `verdict`; no longer written."""
    ROLLOUT_HELD = "rollout.held"
    ROLLOUT_EXCUSED = "rollout.excused"
    ROLLOUT_SIGNED = "rollout.signed"
    ROLLOUT_DECIDED = "rollout.decided"
    ROLLOUT_RELEASED = "rollout.released"
    ROLLOUT_TIMED_OUT = "rollout.timed_out"
    ROLLOUT_FULL = "rollout.full"

    ROLLBACK_STARTED = "rollback.started"
    ROLLBACK_TRAFFIC_ZERO = "rollback.traffic_zero"
    ROLLBACK_VERIFIED = "rollback.verified"
    ROLLBACK_FAILED = "rollback.failed"
    ROLLBACK_RETRIED = "rollback.retried"

    INTERACTION_OPENED = "interaction.opened"
    INTERACTION_EXPLAINED = "interaction.explained"
    INTERACTION_RECORDED = "interaction.recorded"
    INTERACTION_CLOSED = "interaction.closed"
    INTERACTION_TEXT_REMOVED = "interaction.text_removed"
    INTERACTION_REFUSALS_COUNTED = "interaction.refusals_counted"

    FEEDBACK_RECORDED = "feedback.recorded"
    FEEDBACK_REMOVED = "feedback.removed"

    EVALUATION_STARTED = "evaluation.started"
    EVALUATION_FINISHED = "evaluation.finished"
    EVALUATION_VOIDED = "evaluation.voided"
    EVALUATION_CASE_DECIDED = "evaluation.case_decided"
    EVALUATION_WEAKENING_SIGNED = "evaluation.weakening_signed"
    EVALUATION_CASES_IMPORTED = "evaluation.cases_imported"
    EVALUATION_JUDGE_CALIBRATED = "evaluation.judge_calibrated"
    EVALUATION_MITIGATION_OPENED = "evaluation.mitigation_opened"
    EVALUATION_MITIGATION_CLOSED = "evaluation.mitigation_closed"
    EVALUATION_MITIGATION_CHANGED = "evaluation.mitigation_changed"
    EVALUATION_MITIGATION_REOPENED = "evaluation.mitigation_reopened"

    INCIDENT_OPENED = "incident.opened"
    INCIDENT_UPDATED = "incident.updated"
    INCIDENT_CLOSED = "incident.closed"
    INCIDENT_DRILL_FINISHED = "incident.drill_finished"

    CHANNEL_TESTED = "channel.tested"

    REPORT_MADE = "report.made"

    TASK_PUT_OFF = "task.put_off"
    TASK_HANDED_OVER = "task.handed_over"

    PROFILE_CHANGED = "profile.changed"

    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"

    PERSON_ERASED = "person.erased"
    PERSON_REVEALED = "person.revealed"

    LEDGER_KEY_CREATED = "ledger.key_created"
    LEDGER_KEY_ROTATED = "ledger.key_rotated"
    LEDGER_KEY_LOST = "ledger.key_lost"
    LEDGER_EPOCH_OPENED = "ledger.epoch_opened"
    LEDGER_EXPORTED = "ledger.exported"
    LEDGER_DISCLOSED = "ledger.disclosed"

    @property
    def noun(self) -> str:
        """Return what the entry is about, the part before the dot."""
        return self.value.partition(".")[0]


_SIGNED_AT_ONCE = frozenset({"gate", "takedown", "ledger"})
_TRAFFIC_DECISIONS = frozenset(
    {
        EntryKind.DEPLOYMENT_PROMOTED,
        EntryKind.DEPLOYMENT_ROLLED_BACK,
        EntryKind.ROLLOUT_COMPLETED,
        EntryKind.ROLLOUT_ROLLED_BACK,
        EntryKind.ROLLBACK_STARTED,
        EntryKind.ROLLBACK_VERIFIED,
        EntryKind.RELEASE_REVOKED,
        EntryKind.RELEASE_QUARANTINED,
    }
)


def is_signed_at_once(kind: EntryKind) -> bool:
    """Tell whether a checkpoint follows at once: gates, promotions, rollbacks, takedowns and the ledger's own acts."""
    return kind.noun in _SIGNED_AT_ONCE or kind in _TRAFFIC_DECISIONS
