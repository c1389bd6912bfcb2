"""A release whose sealed prompt quotes a document that was taken down is quarantined with the takedown (4.2).

Rule: a quote is a run of whole words that stands in the document, in the prompt, and in no document anybody may still
read. Every such release leaves traffic in the takedown's own transaction. Fail mode: a prompt that cannot be read
raises IntegrityError, and the takedown is not made: what cannot be searched is not claimed to be clean.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import person_deed
from pilotage.control.withdraw_release import Withdrawing, withdraw_release
from pilotage.core.digest import Digest
from pilotage.corpus.takedown import quoted_pieces, standing_in
from pilotage.identity.principal import Principal
from pilotage.release.seal import ReleaseState
from pilotage.rollout.transitions import Actor
from pilotage.store.releases import prompt_parts, sealed_with_prompt
from pilotage.store.takedown_quotes import staying_texts
from pilotage.store.takedowns import all_texts, find_takedown


def withdraw_quoting(
    connection: Connection, instance: Instance, *, actor: Principal, takedowns: Iterable[str], at: datetime
) -> tuple[Digest, ...]:
    """Quarantine the releases whose prompt quotes any of the documents just hidden; return their digests."""
    prompts = dict(prompt_parts(connection))
    found: dict[Digest, None] = {}
    for name in takedowns:
        stored = find_takedown(connection, name)
        if stored is None:
            continue
        texts = all_texts(connection, stored.corpus, stored.document)
        quoting = {digest for digest, prompt in prompts.items() if _quotes(connection, prompt, texts)}
        wanted = Withdrawing(
            state=ReleaseState.QUARANTINED,
            cause="prompt quotes a document taken down",
            note=f"TAKEDOWN_QUOTED: the prompt quotes what takedown {name} removed.",
            data={"code": "TAKEDOWN_QUOTED", "takedown": name},
        )
        deed = person_deed(connection, actor, at=at, kind=Actor.ON_CALL)
        for release in sealed_with_prompt(connection, quoting):
            withdraw_release(connection, instance, release, wanted, deed)
            found[release.digest] = None
    return tuple(found)


def _quotes(connection: Connection, prompt: str, texts: Iterable[str]) -> bool:
    pieces = quoted_pieces(prompt, texts)
    return not standing_in(pieces, staying_texts(connection)).issuperset(pieces)
