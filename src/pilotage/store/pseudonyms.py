"""Pseudonyms: the only name a person, persona or service has in interactions and in the ledger.

Random, 128 bits, never derived from the principal, so that deleting the row unlinks every record for good. Fail mode: a
database error; nothing is recorded under a real id instead.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection

from sqlalchemy import Connection, text

from pilotage.core.ids import PrincipalId

_FIND = text("SELECT pseudonym FROM principal_pseudonym WHERE principal = :principal")
_ADD = text(
    "INSERT INTO principal_pseudonym (principal, pseudonym) VALUES (:principal, :pseudonym) ON CONFLICT DO NOTHING"
)
_RESOLVE = text("SELECT principal FROM principal_pseudonym WHERE pseudonym = :pseudonym")
_RESOLVE_ALL = text(
    "SELECT pseudonym, principal FROM principal_pseudonym"
    " WHERE pseudonym = ANY(:pseudonyms) OR principal = ANY(:principals)"
)
_FORGET = text("DELETE FROM principal_pseudonym WHERE principal = :principal")


def new_pseudonym() -> str:
    """Return a fresh pseudonym: `p_` and 26 characters of lowercase base32 (128 random bits)."""
    return f"p_{base64.b32encode(secrets.token_bytes(16)).decode().rstrip('=').lower()}"


def pseudonym_of(connection: Connection, principal: str) -> str:
    """Return the principal's pseudonym, giving it one on first sight; two processes at once agree on one."""
    found: str | None = connection.execute(_FIND, {"principal": principal}).scalar_one_or_none()
    if found is None:
        connection.execute(_ADD, {"principal": principal, "pseudonym": new_pseudonym()})
        found = connection.execute(_FIND, {"principal": principal}).scalar_one()
    return found


def principal_of(connection: Connection, pseudonym: str) -> PrincipalId | None:
    """Return who stands behind a pseudonym, or None once erased."""
    found: str | None = connection.execute(_RESOLVE, {"pseudonym": pseudonym}).scalar_one_or_none()
    return None if found is None else PrincipalId(found)


def principals_of(
    connection: Connection, pseudonyms: Collection[str], *, also: Collection[PrincipalId] = ()
) -> dict[str, PrincipalId]:
    """Return who stands behind each pseudonym, and the pseudonyms of these principals; what was erased is left out."""
    rows = connection.execute(_RESOLVE_ALL, {"pseudonyms": list(pseudonyms), "principals": list(also)})
    return {pseudonym: PrincipalId(principal) for pseudonym, principal in rows}


def forget_principal(connection: Connection, principal: str) -> bool:
    """Delete the link between a principal and its pseudonym for good; tell whether there was one."""
    return connection.execute(_FORGET, {"principal": principal}).rowcount > 0
