"""Who a key speaks for, at the command line and the control plane: proven secret, live, with its scopes.

Fail mode: NotPermitted with the credential's own code; nothing tells an unknown key from a wrong secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.control.instance import Instance
from pilotage.core.errors import NotPermitted
from pilotage.identity.principal import Principal
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.service_key import ServiceKey, check_key, parse_key
from pilotage.store.service_keys import find_key
from pilotage.workspace.principals import key_principal

_EVIDENCE = "evidence:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller. `key` None: a person named in local mode."""

    principal: Principal
    key: ServiceKey | None = None

    @property
    def evidence_kinds(self) -> frozenset[str]:
        """Return the kinds (or globs) of evidence the key may push."""
        return evidence_kinds(() if self.key is None else self.key.scopes)


def evidence_kinds(scopes: Iterable[str]) -> frozenset[str]:
    """Return the kinds (or globs) of evidence that a key with these scopes may push."""
    return frozenset(one.removeprefix(_EVIDENCE) for one in scopes if one.startswith(_EVIDENCE))


def authenticate_key(instance: Instance, text: str) -> Caller:
    """Return who a key speaks for; raise NotPermitted."""
    parts = parse_key(text.strip())
    if parts is None:
        raise NotPermitted("invalid_api_key", "The key is not valid here.", hint="Write the whole key: plt_sk_...")
    with instance.engine.connect() as connection:
        key = find_key(connection, parts.id)
    refused = check_key(key, parts, now=instance.clock.now())
    if refused is not None or key is None:
        text_ = "The key is not valid here." if refused is None else refused.text
        raise NotPermitted("invalid_api_key" if refused is None else refused.code.value, text_)
    principal = key_principal(instance.workspace, key)
    if isinstance(principal, CredentialRefused):
        raise NotPermitted(principal.code.value, principal.text)
    return Caller(principal=principal, key=key)
