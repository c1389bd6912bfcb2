"""Step 2b, admit: may this request enter the space now (serving.md 3).

Here stand, in this order: address and TLS, health of the space, kind of credential, scope and address list of the key,
pause, date, recorder, rate limits, stream slots. The places of the budget (3.3) and the capacity of the space (3.4) are
marked; they belong to a later issue. Fail mode: a refusal; what cannot be decided is not admitted.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.identity.principal import PrincipalKind
from pilotage.serving.addresses import client_address, is_over_tls, may_enter, parse_address
from pilotage.serving.context import Admission, Admitted, Asker, Located, Peer, RateUsed
from pilotage.serving.rate_limits import Counted, Permit
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend
from pilotage.serving.steps.redirect import redirect
from pilotage.space.settings import Authentication, Delegation, RateLimits
from pilotage.workspace.people import IdentityMode

ASK_SCOPE = "ask"
_UNLIMITED = RateLimits()
_FREE = Permit()
"""For what no limit is for: a space without one, and what begins inside."""
_PLAIN = Refusal(
    code=Code.NOT_PERMITTED,
    message="This space is reached over TLS only. Use https; a proxy must be trusted and send X-Forwarded-Proto.",
)
_KEY_ALONE = Refusal(
    code=Code.NOT_PERMITTED,
    message="This space takes the identity provider's tokens: bring one, or a person's in X-Pilotage-Subject-Token.",
)


async def admit(context: Located, serving: Serving) -> Admitted | Refusal:
    """Let the request in, or refuse. A stream takes a slot that the pipeline gives back."""
    admission = _address(context, serving)
    if isinstance(admission, Refusal):
        return admission
    home = context.place.space.name
    redirected = redirect(context, serving)
    if isinstance(redirected, Refusal):
        return redirected
    if redirected is not context:
        # Both doors must be open to the asker: the one that was knocked at, and the one that answers.
        context, admission = redirected, _address(redirected, serving)
        if isinstance(admission, Refusal):
            return admission
        admission = replace(admission, failover_from=home)
    refusal = _scope(context, serving) or _open(context, serving)
    if refusal is not None:
        return refusal
    # 3.3 budget of the workflow, reserved before the model call: refuses with budget_exhausted.
    # 3.4 in-flight cap of the space over all processes: refuses with overloaded.
    permit = await _permit(context, serving)
    if isinstance(permit, Refusal):
        return permit
    if permit.rate is not None:
        admission = replace(admission, rate=RateUsed(whose=permit.whose, used=permit.used, limit=permit.rate))
    return extend(context, Admitted, admission=admission, admitted_us=serving.elapsed_us(context.started))


async def _permit(context: Located, serving: Serving) -> Permit | Refusal:
    """Let the request in under the limits of the space that answers it, with a slot for a stream."""
    limits, asker = context.place.space.api_rate_limit, context.asker
    permit: Permit | Refusal = _FREE
    if serving.rates is not None and context.peer.address is not None and limits != _UNLIMITED:
        key = None if asker.key is None else asker.key.key
        counted = Counted(space=context.place.space.name, principal=asker.pseudonym, key=key)
        permit = await serving.rates.admit(limits, counted)
    if isinstance(permit, Permit) and context.asked.stream:
        refusal = serving.slots.take(asker.principal.id)
        if refusal is not None:
            permit.give_back()
            return refusal
    return permit


def _address(context: Located, serving: Serving) -> Admission | Refusal:
    if context.peer.address is None:
        return Admission(client=None, ip_rule="in_process")
    gateway = serving.workspace.gateway
    client = client_address(context.peer.address, context.peer.forwarded_for, gateway.trusted_proxies)
    if isinstance(client, Refusal):
        return client
    if context.place.space.security.encryption_in_transit and not (_is_own(context.peer) or _had_tls(context, serving)):
        return _PLAIN
    local = serving.workspace.identity.mode is IdentityMode.LOCAL
    rule = may_enter(client, context.place.space.allowed_ips, local_mode=local)
    if isinstance(rule, Refusal):
        return rule
    key = context.asker.key
    if key is not None and key.ips:
        key_rule = may_enter(client, key.ips, local_mode=local)
        if isinstance(key_rule, Refusal):
            return key_rule
    return Admission(client=str(client), ip_rule=rule)


def _is_own(peer: Peer) -> bool:
    """Tell whether a process of this machine connected for itself; what headers say of loopback is nobody's word."""
    address = parse_address(peer.address or "")
    forwarded = peer.is_forwarded or peer.forwarded_for or peer.forwarded_proto
    return address is not None and address.is_loopback and not forwarded


def _had_tls(context: Located, serving: Serving) -> bool:
    peer, trusted = context.peer, serving.workspace.gateway.trusted_proxies
    return peer.is_tls or is_over_tls(peer.address or "", peer.forwarded_proto, trusted)


def _is_key_alone(asker: Asker) -> bool:
    return asker.key is not None and asker.acting_service is None


def _scope(context: Located, serving: Serving) -> Refusal | None:
    key, security = context.asker.key, context.place.space.security
    asks_for_tokens = security.authentication is Authentication.OAUTH2
    if asks_for_tokens and serving.workspace.identity.mode is IdentityMode.OIDC and _is_key_alone(context.asker):
        return _KEY_ALONE
    is_bare = context.asker.principal.kind is PrincipalKind.SERVICE
    if is_bare and security.delegation is Delegation.REQUIRED:
        return Refusal(
            code=Code.DELEGATION_REQUIRED,
            message="In this space a service must bring the person's token in X-Pilotage-Subject-Token.",
        )
    if key is not None and key.scopes and ASK_SCOPE not in key.scopes:
        return Refusal(code=Code.SCOPE_MISSING, message="This key may not ask: it lacks the scope ask.")
    return None


def _open(context: Located, serving: Serving) -> Refusal | None:
    if context.place.row.paused:
        return Refusal(code=Code.SPACE_PAUSED, message="This workflow is paused in this space.", retry_after_s=30)
    as_of = context.asked.as_of
    if as_of is not None and as_of > serving.today(context.at):
        return Refusal(code=Code.INVALID_REQUEST, message="pilotage.as_of lies in the future.", param="pilotage.as_of")
    if serving.recorder.is_saturated:
        return Refusal(
            code=Code.RECORDER_SATURATED, message="Too many records wait for the store. Try again.", retry_after_s=2
        )
    return None
