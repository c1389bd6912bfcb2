"""What leaves while the model still speaks (serving.md 1.3, 5.5): modes `token` and `sentence`.

`token`: redaction hold-back only. `sentence`: whole sentences, each after a fresh permission check. Before the first
piece permissions are checked again and, in a `fail_closed` space, the opening record is durable. Fail mode: a refusal,
that of a release taken out by a hard event among them, ends the stream; what the hold-back still holds is discarded.
"""

from __future__ import annotations

import re

from pilotage.guard.policy import StreamMode
from pilotage.serving.context import Composed
from pilotage.serving.refusal import Refusal
from pilotage.serving.run import Run
from pilotage.serving.service import Serving
from pilotage.serving.steps.cut_off import cut_off
from pilotage.serving.steps.recheck import recheck
from pilotage.serving.steps.record import open_record

# A sentence ends at its mark, with the citations that follow it, and the white space after them; or at a line's end.
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?:\s*\[\d{1,3}\])*\s+(?!\[\d)|\n+")


def is_held_until_checked(context: Composed) -> bool:
    """Tell whether the release lets nothing leave before every check of the whole answer."""
    return context.release.content.guard.stream is StreamMode.BUFFER


class StreamOutlet:
    """The outlet of one stream. `take` and `finish` return a refusal when the stream must end."""

    def __init__(self, context: Composed, run: Run, serving: Serving) -> None:
        self._context = context
        self._run = run
        self._serving = serving
        self._hold_back = serving.guard.hold_back(context)
        self._by_sentence = context.release.content.guard.stream is StreamMode.SENTENCE
        self._waiting = ""

    async def take(self, text: str) -> Refusal | None:
        """Take the next piece of the model's text and send what may leave."""
        self._waiting += self._hold_back.feed(text)
        return await self._send(self._ready())

    async def finish(self) -> Refusal | None:
        """Send the rest."""
        self._waiting += self._hold_back.finish()
        ready, self._waiting = self._waiting, ""
        return await self._send(ready)

    def _ready(self) -> str:
        if not self._by_sentence:
            ready, self._waiting = self._waiting, ""
            return ready
        ends = [match.end() for match in _SENTENCE_END.finditer(self._waiting)]
        if not ends:
            return ""
        ready, self._waiting = self._waiting[: ends[-1]], self._waiting[ends[-1] :]
        return ready

    async def _send(self, ready: str) -> Refusal | None:
        if not ready or self._run.sink is None:
            return None
        cut = cut_off(self._context, self._serving)
        if cut is not None:
            return cut
        if self._by_sentence or not self._run.has_started:
            refusal = await recheck(self._context, self._serving)
            if refusal is not None:
                return refusal
        if not self._run.has_started:
            refusal = await open_record(self._context, self._run, self._serving)
            if refusal is not None:
                return refusal
            self._run.has_started = True
        await self._run.sink.send(ready)
        return None
