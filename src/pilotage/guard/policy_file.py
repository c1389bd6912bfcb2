"""Reads part `guard`: `workflows/<name>/guard.yaml`, or the same value from a sealed release.

Rule: a blocking whole-answer check needs `stream: buffer`, because sent text cannot be blocked (serving.md 1.3);
checks that protect people cannot fail open. Absent or unknown is invalid. Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotage.core.fields import (
    ANY,
    TEXT,
    Fields,
    Reader,
    choice,
    integer,
    list_of,
    map_of,
    matching,
    number,
    read_record,
    record,
)
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.readers import BYTES, FRACTIONAL_SECONDS, NETWORKS
from pilotage.guard.policy import (
    Action,
    CacheMode,
    Check,
    Effect,
    EgressRule,
    FailMode,
    GuardPolicy,
    Restore,
    Stage,
    StreamMode,
    ToolRule,
)

CHECKS: Mapping[str, frozenset[Stage]] = {
    "size": frozenset({Stage.INPUT}),
    "unicode": frozenset({Stage.INPUT, Stage.RETRIEVAL, Stage.OUTPUT}),
    "secrets": frozenset({Stage.INPUT, Stage.OUTPUT, Stage.TOOL}),
    "pii_in": frozenset({Stage.INPUT}),
    "tripwire": frozenset({Stage.INPUT, Stage.RETRIEVAL}),
    "hidden_text": frozenset({Stage.RETRIEVAL}),
    "pii_out": frozenset({Stage.OUTPUT}),
    "urls": frozenset({Stage.OUTPUT}),
    "canary": frozenset({Stage.OUTPUT}),
    "citation": frozenset({Stage.OUTPUT}),
    "numbers": frozenset({Stage.OUTPUT}),
    "grounding": frozenset({Stage.OUTPUT}),
    "tool": frozenset({Stage.TOOL}),
    "egress": frozenset({Stage.EGRESS}),
}
"""Known checks and the stages they can run at."""

WHOLE_ANSWER = frozenset({"citation", "numbers", "grounding", "canary"})
"""Checks that need the whole answer: with action block, nothing may leave before them."""

REQUIRED = ("pii_in", "pii_out", "secrets", "citation")
_FAIL_CLOSED = re.compile(r"pii_.*|secrets|canary|citation|tool|egress")
_SHARES = frozenset({"pii_in", "pii_out", "citation", "grounding"})
_TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_HOST = matching(
    re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*"),
    "a host name in lower case or an address, no scheme, no brackets",
)
_SHA256 = matching(re.compile(r"[0-9a-f]{64}"), "64 lowercase hex digits")
_PURPOSE = matching(
    re.compile("models|jwks|connectors|tools|notifications"), "models, jwks, connectors, tools or notifications"
)


def parse_guard(at: Located, problems: Problems) -> GuardPolicy:
    """Read the guard policy; mistakes go to `problems`, with stand-ins in the result."""
    return read_record(at, problems, _policy)


def _policy(fields: Fields) -> GuardPolicy:
    policy = GuardPolicy(
        version=fields.need("version", integer(1, 1)),
        stream=fields.get("stream", choice(StreamMode), StreamMode.BUFFER),
        checks=fields.need("checks", list_of(record(_check), at_least=1)),
        tools=fields.get("tools", list_of(record(_tool)), ()),
        egress=fields.get("egress", list_of(record(_egress)), ()),
        restore=fields.get("restore", choice(Restore), Restore.OFF),
        cache=fields.get("cache", choice(CacheMode), CacheMode.OFF),
        allowed_urls=fields.get("allowed_urls", list_of(TEXT, or_one=True), ()),
    )
    _check_whole(policy, fields)
    return policy


def _check_whole(policy: GuardPolicy, fields: Fields) -> None:
    pairs = [(check.id, check.stage) for check in policy.checks]
    for name, stage in sorted({pair for pair in pairs if pair[0] and pairs.count(pair) > 1}):
        fields.problem("checks", f"The check {name!r} stands twice at stage {stage}", "Keep one of them.")
    present = {check.id for check in policy.checks}
    for name in REQUIRED:
        if policy.checks and name not in present:
            fields.problem(
                "checks", f"The check {name!r} is missing", "Write it; redaction and citations are never off."
            )
    blocking = sorted(c.id for c in policy.checks if c.id in WHOLE_ANSWER and c.action is Action.BLOCK)
    if blocking and policy.stream is not StreamMode.BUFFER:
        what = f"stream: {policy.stream} would send text that {', '.join(blocking)} may block"
        key = "stream" if fields.has("stream") else "checks"
        fields.problem(key, what, "Write stream: buffer, or another action.")
    if policy.tools and policy.cache is not CacheMode.OFF:
        what = f"cache: {policy.cache} would give an answer again that came from a tool"
        fields.problem("cache", what, "Write cache: off, or no tools.")


def _check(fields: Fields) -> Check:
    check = Check(
        id=fields.need("id", _CHECK_ID),
        stage=fields.need("stage", choice(Stage)),
        action=fields.need("action", choice(Action)),
        fail=fields.need("fail", choice(FailMode)),
        threshold=fields.get("threshold", number(0.0), None),
        types=fields.get("types", map_of(choice(Action), key=_TYPE, form="a type such as EMAIL"), {}),
    )
    stages = CHECKS.get(check.id)
    if stages is not None and check.stage not in stages:
        hint = f"Write stage: {' or '.join(sorted(stages))}."
        fields.problem("stage", f"The check {check.id!r} cannot run at stage {check.stage}", hint)
    if check.fail is FailMode.OPEN and _FAIL_CLOSED.fullmatch(check.id):
        fields.problem("fail", f"The check {check.id!r} cannot fail open", "Write fail: closed.")
    if check.action is Action.QUARANTINE and check.stage is not Stage.RETRIEVAL:
        fields.problem(
            "action", f"quarantine at stage {check.stage}", "Only retrieval can drop a chunk; write another."
        )
    if check.threshold is not None and check.threshold > 1 and check.id in _SHARES:
        fields.problem(
            "threshold", f"The threshold of {check.id!r} is {check.threshold:g}", "Write a share from 0 to 1."
        )
    return check


def _read_check_id(at: Located, problems: Problems) -> str:
    name = TEXT.read(at, problems)
    if name and name not in CHECKS:
        problems.add(at, f"{name[:60]!r} is not a check", did_you_mean(name, sorted(CHECKS), instead="Write one of"))
    return name


_CHECK_ID: Reader[str] = Reader(read=_read_check_id, stand_in=str)


def _tool(fields: Fields) -> ToolRule:
    schema = fields.need("arguments", map_of(ANY))
    plain = {key: value.plain() for key, value in schema.items()}
    if schema and plain.get("additionalProperties") is not False:
        what = "The arguments of a tool must be closed"
        fields.problem("arguments", what, "Write additionalProperties: false in the JSON Schema.")
    rule = ToolRule(
        server=fields.need("server", TEXT),
        tool=fields.need("tool", TEXT),
        arguments=plain,
        roles=fields.need("roles", list_of(TEXT, or_one=True, at_least=1)),
        effect=fields.need("effect", choice(Effect)),
        timeout_s=fields.get("timeout", FRACTIONAL_SECONDS, 10.0),
        result_bytes=fields.get("result_cap", BYTES, 65_536),
        description_sha256=fields.need("description_sha256", _SHA256),
    )
    if not 0 < rule.timeout_s <= 10:
        fields.problem("timeout", f"A timeout of {rule.timeout_s:g} s", "Write a duration above 0 and at most 10s.")
    if rule.result_bytes > 65_536:
        fields.problem("result_cap", f"A result of {rule.result_bytes:,} bytes", "Write at most 64KiB.")
    return rule


def _egress(fields: Fields) -> EgressRule:
    return EgressRule(
        host=fields.need("host", _HOST),
        port=fields.get("port", integer(1, 65_535), 443),
        purpose=fields.need("purpose", _PURPOSE),
        allow_private=fields.get("allow_private", NETWORKS, ()),
    )
