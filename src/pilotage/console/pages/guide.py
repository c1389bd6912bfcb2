"""Help: every page with the question it answers and what is done there; each page's footer leads to its own line.

Rule: a page without a line fails a test. Fail mode: none; the words are constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pilotage.console.reply import Page
from pilotage.console.visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One page in words. `path` is where it begins, None when it is reached through another page."""

    name: str
    question: str
    path: str | None
    says: str


TOPICS: Final = (
    Topic(
        name="Inbox",
        question="What waits for me?",
        path="/",
        says="One row for each decision that this very moment takes you: votes, versions to accept, rollouts to sign.",
    ),
    Topic(
        name="Workflows",
        question="Where is each one on its way to production?",
        path="/workflows",
        says="How far every workflow is and since when, which release serves in which space, the newest release at each"
        " gate, and who is on call now.",
    ),
    Topic(
        name="Seal",
        question="What would it be as a release, and do I seal it?",
        path=None,
        says="The parts as they would be sealed, and what changed since the release before. What the page showed is"
        " sealed, or nothing is.",
    ),
    Topic(
        name="Portfolio",
        question="What next?",
        path="/portfolio",
        says="Use cases ranked by value, by what is known of their measures and by how ready their data is, with every"
        " number's source and date; what is not ranked and why; bands by gate; retrieval, fine-tuning or a prompt.",
    ),
    Topic(
        name="Release",
        question="What is it, and may it move?",
        path=None,
        says="Parts, lineage, gates and evidence. Promoting and starting a rollout say every reason against them.",
    ),
    Topic(
        name="Compare",
        question="Is B worse than A?",
        path="/compare",
        says="The verdict of the run that asked both and what decided it, every metric with its interval and the"
        " smallest loss that so many cases show, then the cases side by side. Answers and expected facts are shown to"
        " whoever may read the documents behind them.",
    ),
    Topic(
        name="Evidence",
        question="What does it say, and who stands behind it?",
        path=None,
        says="One item as it was read: the numbers that gates compare, its findings, and why it does not count where it"
        " does not.",
    ),
    Topic(
        name="Gate",
        question="Do I sign?",
        path=None,
        says="Criteria with observed value and limit, then the votes. Your vote binds the digests that are shown; when"
        " one of them moved, the vote is refused and nothing is recorded. Go-live has a second half: it is confirmed"
        " after the first traffic.",
    ),
    Topic(
        name="CAB",
        question="Authorise?",
        path="/cab",
        says="A session of the board takes one release after the other: pack, seats, dissent, questions, then minutes.",
    ),
    Topic(
        name="Rollout",
        question="Go on, pause or abort?",
        path="/rollouts",
        says="The verdict as it stands, both arms side by side, what fired first; the numbers of each chart can be"
        " kept as CSV. A pause keeps traffic as it is; an abort takes it back at once.",
    ),
    Topic(
        name="Incidents",
        question="What now?",
        path="/incidents",
        says="Open and closed ones; and of one incident, live, the timeline, the commands that move it on or back, and"
        " its post-mortem beside what the records say. Somebody else than its author and whoever led it approves it.",
    ),
    Topic(
        name="Assistant",
        question="What do the documents say?",
        path="/ask",
        says="An answer from documents you may read, each sentence with the passage it rests on. Beside it: of which"
        " day the documents are, what is a draft until a person reviewed it, when to override, and whom to ask.",
    ),
    Topic(
        name="Passage",
        question="What do the cited words stand in?",
        path=None,
        says="The passage, for whoever may read it now; for everybody else there is nothing there.",
    ),
    Topic(
        name="Explain",
        question="Why was this person given this answer?",
        path=None,
        says="Eight links from the asker to the ledger, each with its proof. Opening another person's is recorded.",
    ),
    Topic(
        name="Corpus",
        question="Accept this version?",
        path=None,
        says="Which documents were added, changed and removed. Whoever accepts becomes an author of the corpus.",
    ),
    Topic(
        name="Ledger",
        question="Is it whole?",
        path="/ledger",
        says="Every decision and every answer as an entry, with its inclusion proof. For auditors.",
    ),
    Topic(
        name="Search",
        question="What does this digest, id or name lead to?",
        path="/search",
        says="Releases by eight digits of their digest; rollouts, board sessions, incidents and answers by their id;"
        " people by name; documents you may read by a part of their id.",
    ),
    Topic(
        name="Login",
        question="Who are you?",
        path="/login",
        says="A session ends after 30 minutes without use and after 10 hours. What you had typed is kept.",
    ),
    Topic(
        name="Profile",
        question="How do pages look for me?",
        path="/profile",
        says="The zone in which pages tell times, and the shortcuts, which are off until somebody switches them on."
        " It changes no right.",
    ),
    Topic(name="Help", question="What is each page for?", path="/help", says="This page."),
)


SHORTCUTS: Final[Mapping[str, str]] = {"g i": "Inbox", "g w": "Workflows", "/": "Search", "?": "This list"}
"""What a key, or one after another, leads to; pages mark the links and the field with the same keys."""


def show_help(_visit: Visit) -> Page:
    """Show every page in words."""
    return Page(template="help.html", title="Help", values={"topics": TOPICS, "shortcuts": SHORTCUTS})
