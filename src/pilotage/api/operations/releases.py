"""`/api/v1/releases`: seal, look, compare, verify, bring evidence, promote."""

from __future__ import annotations

from base64 import b64decode

from pilotage.api.operation import Body, Call, File, Operation, Result
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence, bringing_refused
from pilotage.control.change_release_state import deprecate_release, quarantine_release, revoke_release
from pilotage.control.evidence_reports import list_evidence, show_evidence, withdraw_evidence
from pilotage.control.evidence_text import text_of
from pilotage.control.fetch_evidence import fetch_evidence
from pilotage.control.lift_quarantine import LiftRequest, lift_quarantine
from pilotage.control.open_evidence import open_evidence
from pilotage.control.own_evidence import attach_own
from pilotage.control.promote_release import promote_release
from pilotage.control.release_reports import diff_named, list_releases, show_release
from pilotage.control.risk_reports import risks_of
from pilotage.control.seal_release import seal_release
from pilotage.control.verify_release import verify_release
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal


class Sealing(Body):
    """The workflow to seal as it is declared now. `expects`: the digest it must get, else nothing is sealed."""

    workflow: str
    note: str = ""
    expects: str | None = None


class ListingReleases(Body):
    """Only this workflow's."""

    workflow: str | None = None


class Adding(Body):
    """What the file is. `kind` is detected where possible; `attestation` is its DSSE envelope in base64url."""

    name: str
    kind: str | None = None
    space: str | None = None
    suite: str = ""
    attestation: str | None = None


class Fetching(Body):
    """A declared source, and what to ask it about; `kind` is detected where possible."""

    source: str
    item: str
    kind: str | None = None
    space: str | None = None


class Why(Body):
    """The reason, kept with the decision."""

    reason: str


class Lifting(Body):
    """The reason, kept with the decision; `space` for a quarantine in one space only."""

    reason: str
    space: str | None = None


class Promoting(Body):
    """The space it enters."""

    space: str


def _seal(call: Call) -> Result:
    asked: Sealing = call.fields
    done = seal_release(
        call.instance, actor=call.actor, workflow=asked.workflow, note=asked.note, expects=asked.expects
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _deprecate(call: Call) -> Result:
    done = deprecate_release(call.instance, actor=call.actor, release=call.params["digest"], reason=call.fields.reason)
    return done if isinstance(done, Refusal) else done.as_json()


def _quarantine(call: Call) -> Result:
    done = quarantine_release(call.instance, actor=call.actor, release=call.params["digest"], reason=call.fields.reason)
    return done if isinstance(done, Refusal) else done.as_json()


def _revoke(call: Call) -> Result:
    done = revoke_release(call.instance, actor=call.actor, release=call.params["digest"], reason=call.fields.reason)
    return done if isinstance(done, Refusal) else done.as_json()


def _lift(call: Call) -> Result:
    request = LiftRequest(reason=call.fields.reason, space=call.fields.space)
    done = lift_quarantine(call.instance, actor=call.actor, release=call.params["digest"], request=request)
    return done if isinstance(done, Refusal) else done.as_json()


def _list(call: Call) -> Result:
    return {"releases": list_releases(call.instance, workflow=call.fields.workflow)}


def _show(call: Call) -> Result:
    return show_release(call.instance, call.params["digest"])


def _diff(call: Call) -> Result:
    return diff_named(call.instance, call.params["digest"], call.params["other"]).as_json()


def _verify(call: Call) -> Result:
    return verify_release(call.instance, call.params["digest"]).as_json()


def _evidence(call: Call) -> Result:
    return {"evidence": list_evidence(call.instance, call.params["digest"])}


def _bringer(call: Call, space: str | None) -> Bringer:
    return Bringer(actor=call.actor, pushed_kinds=call.evidence_kinds, space=space, text_of=text_of)


def _add(call: Call) -> Result:
    asked: Adding = call.fields
    bringer = _bringer(call, asked.space)
    signed = None if asked.attestation is None else _decoded(asked.attestation)
    upload = Upload(name=asked.name, data=call.data, kind=asked.kind, suite=asked.suite, attestation=signed)
    done = attach_evidence(call.instance, bringer=bringer, release=call.params["digest"], uploads=[upload])
    return done if isinstance(done, Refusal) else done[0].as_json()


def _fetch(call: Call) -> Result:
    asked: Fetching = call.fields
    bringer = _bringer(call, asked.space)
    done = fetch_evidence(
        call.instance,
        bringer=bringer,
        release=call.params["digest"],
        source=asked.source,
        item=asked.item,
        kind=asked.kind,
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        message = "The attestation is not in base64url."
        raise UsageError("ATTESTATION", message, hint="Encode the whole DSSE envelope, padding included.") from None


def _show_evidence(call: Call) -> Result:
    return show_evidence(call.instance, call.params["evidence"])


def _open_evidence(call: Call) -> Result:
    done = open_evidence(call.instance, actor=call.actor, evidence=call.params["evidence"])
    return done if isinstance(done, Refusal) else File(pieces=done.pieces, size=done.size, name=done.name)


def _withdraw(call: Call) -> Result:
    name = call.params["evidence"]
    refusal = withdraw_evidence(call.instance, actor=call.actor, evidence=name, reason=call.fields.reason)
    return refusal or {"evidence": name, "state": "withdrawn"}


def _promote(call: Call) -> Result:
    done = promote_release(call.instance, actor=call.actor, release=call.params["digest"], space=call.fields.space)
    return done if isinstance(done, Refusal) else done.as_json()


def _own(call: Call) -> Result:
    done = attach_own(call.instance, actor=call.actor, release=call.params["digest"])
    return done if isinstance(done, Refusal) else {"evidence": [one.as_json() for one in done]}


def _risks(call: Call) -> Result:
    return {"risks": [one.as_json() for one in risks_of(call.instance, call.params["digest"])]}


OPERATIONS = (
    Operation(
        method="GET",
        path="/releases",
        command="release list",
        summary="List releases",
        gives="Releases, newest first.",
        run=_list,
        takes=ListingReleases,
    ),
    Operation(
        method="POST",
        path="/releases",
        command="release seal",
        summary="Seal a workflow as declared now",
        gives="The digest, its parts and where it is served.",
        run=_seal,
        takes=Sealing,
        is_outward=True,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}",
        command="release show",
        summary="Show a release",
        gives="Parts with their authors, and the seal.",
        run=_show,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/diff/{other}",
        command="release diff",
        summary="Compare two releases part by part",
        gives="What changed, with flags somebody must look at.",
        run=_diff,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/verification",
        command="release verify",
        summary="Recompute every digest, the signature and the ledger entry",
        gives="Each check; a release that fails is quarantined.",
        run=_verify,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/evidence",
        command="evidence list",
        summary="List the evidence of a release",
        gives="Evidence, newest first.",
        run=_evidence,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/evidence",
        command="evidence add",
        summary="Bind a file to a release",
        gives="What the reader made of it, accepted or rejected with the reason.",
        run=_add,
        takes=Adding,
        uploads=bringing_refused,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/evidence/fetch",
        command="evidence fetch",
        summary="Ask a declared tool and bind its answer to a release",
        gives="What the reader made of it, accepted or rejected with the reason.",
        run=_fetch,
        takes=Fetching,
        is_outward=True,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/evidence/own",
        command="evidence own",
        summary="Compute lineage, classification and the secrets scan of a release again",
        gives="The evidence.",
        run=_own,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/risks",
        command="report risks",
        summary="Show the risk register of a release",
        gives="Declared risks and those Pilotage generates, worst first.",
        run=_risks,
    ),
    Operation(
        method="GET",
        path="/evidence/{evidence}",
        command="evidence show",
        summary="Show one item of evidence",
        gives="Claims, findings and references.",
        run=_show_evidence,
    ),
    Operation(
        method="GET",
        path="/evidence/{evidence}/file",
        command="evidence open",
        summary="Hand out the file behind an item of evidence",
        gives="The bytes as they were brought; a document then counts as opened by the person.",
        run=_open_evidence,
        hands_out=True,
    ),
    Operation(
        method="POST",
        path="/evidence/{evidence}/withdrawal",
        command="evidence withdraw",
        summary="Withdraw one's own evidence",
        gives="Its state.",
        run=_withdraw,
        takes=Why,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/promotions",
        command="promote",
        summary="Let a release into a space",
        gives="The deployment, or every reason why not.",
        run=_promote,
        takes=Promoting,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/deprecation",
        command="release deprecate",
        summary="Let nothing promote a release any more",
        gives="Its state, and the spaces it left.",
        run=_deprecate,
        takes=Why,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/quarantine",
        command="release quarantine",
        summary="Take a release out of all traffic",
        gives="Its state, and the spaces it left.",
        run=_quarantine,
        takes=Why,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/quarantine/lift",
        command="release lift",
        summary="End a quarantine, by two persons and new evidence",
        gives="Its state, what is new since, and what it still waits for.",
        run=_lift,
        takes=Lifting,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/revocation",
        command="release revoke",
        summary="Revoke a release for good, by two persons",
        gives="Its state, and the spaces it left.",
        run=_revoke,
        takes=Why,
    ),
)
