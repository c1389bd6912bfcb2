"""Asking the system that documents come from whether an asker may read them now (serving.md 2.5).

Rule: one batch a request within 300 ms; yes is kept for 60 s by asker and document, no never. Fail mode: no answer, an
error, a source that is late or has no say of its own: denied.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from pilotage.core.ids import CorpusName

logger = logging.getLogger(__name__)

DEADLINE_S: Final = 0.3
KEPT_S: Final = 60.0
MOST: Final = 100_000
"""Answers kept in a process; over it, it begins anew."""
_THREADS: Final = 8


class Source(Protocol):
    """What can be asked: `corpus.connector.Connector` is one."""

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        """Ask whether a holder of these ACL names may read each id now; a missing id means no."""
        ...


class SourceAccess:
    """Asks the sources of a process's corpora; a corpus without one denies everything."""

    def __init__(
        self,
        sources: Mapping[CorpusName, Source],
        *,
        monotonic: Callable[[], float],
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._sources = sources
        self._monotonic = monotonic
        self._deadline_s = deadline_s
        self._kept: dict[tuple[str, CorpusName, str], float] = {}
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="source-access")

    async def denied(
        self, principal: str, names: frozenset[str], corpus: CorpusName, documents: Collection[str]
    ) -> frozenset[str]:
        """Return the documents that the asker may not read now, by the source's own word."""
        now = self._monotonic()
        asked = [one for one in dict.fromkeys(documents) if now >= self._kept.get((principal, corpus, one), now)]
        if not asked:
            return frozenset()
        said = await self._ask(corpus, names, asked)
        allowed = [one for one in asked if said.get(one) is True]
        if len(self._kept) + len(allowed) > MOST:
            self._kept.clear()
        self._kept.update({(principal, corpus, one): now + KEPT_S for one in allowed})
        return frozenset(asked) - frozenset(allowed)

    async def _ask(self, corpus: CorpusName, names: frozenset[str], asked: list[str]) -> Mapping[str, bool]:
        source = self._sources.get(corpus)
        if source is None:
            return {}
        try:
            async with asyncio.timeout(self._deadline_s):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, source.check_access, names, asked)
        except Exception as error:  # noqa: BLE001 - the edge to another system: whatever it raises is no yes
            logger.warning("The source of %s does not say who may read (%s).", corpus, type(error).__name__)
            return {}
