"""Every address of the console, in one table."""

from __future__ import annotations

from typing import Final

from pilotage.console.pages import ask, corpus, explain, gate, inbox, ledger, login, passage, release, workflows
from pilotage.console.route import Entry, Table
from pilotage.identity.roles import Action

ENTRIES: Final = (
    Entry(method="GET", path="/", name="Inbox", handle=inbox.show_inbox),
    Entry(method="GET", path="/login", name="Login", handle=login.show_login, needs=None),
    Entry(
        method="POST", path="/login", name="Login", handle=login.sign_in, needs=None, command="-", back=login.login_page
    ),
    Entry(method="POST", path="/logout", name="Login", handle=login.sign_out, command="-"),
    Entry(method="POST", path="/theme", name="Login", handle=login.choose_theme, needs=None, command="-"),
    Entry(method="GET", path="/workflows", name="Workflows", handle=workflows.show_workflows),
    Entry(method="GET", path="/releases/{digest}", name="Release", handle=release.show_release),
    Entry(method="GET", path="/releases/{digest}/changes", name="Release", handle=release.show_changes),
    Entry(
        method="POST",
        path="/releases/{digest}/verification",
        name="Release",
        handle=release.show_verification,
        command="release verify",
    ),
    Entry(
        method="POST",
        path="/releases/{digest}/promotions",
        name="Release",
        handle=release.promote,
        command="promote",
        back=release.show_release,
        is_decision=True,
    ),
    Entry(method="GET", path="/releases/{digest}/gates/{gate}", name="Gate", handle=gate.show_gate),
    Entry(
        method="POST",
        path="/releases/{digest}/gates/{gate}",
        name="Gate",
        handle=gate.vote,
        command="gate sign",
        back=gate.show_gate,
        is_decision=True,
        is_grave=gate.is_grave,
    ),
    Entry(
        method="POST",
        path="/releases/{digest}/gates/{gate}/risks",
        name="Gate",
        handle=gate.accept,
        command="gate accept-risk",
        back=gate.show_gate,
        is_decision=True,
        is_grave=lambda _visit: True,
    ),
    Entry(method="GET", path="/ask", name="Assistant", handle=ask.show_first_workflow, needs=Action.ASK),
    Entry(method="GET", path="/ask/{workflow}", name="Assistant", handle=ask.show_assistant, needs=Action.ASK),
    Entry(
        method="POST",
        path="/ask/{workflow}",
        name="Assistant",
        handle=ask.ask,
        needs=Action.ASK,
        command="ask",
        back=ask.show_assistant,
    ),
    Entry(method="GET", path="/interactions/{interaction}", name="Explain", handle=explain.show_interaction),
    Entry(method="GET", path="/interactions/{interaction}/proof", name="Explain", handle=explain.download_proof),
    Entry(
        method="POST",
        path="/interactions/{interaction}/feedback",
        name="Explain",
        handle=explain.rate,
        command="feedback",
        back=explain.show_interaction,
        is_decision=True,
    ),
    Entry(method="GET", path="/corpora/{name}", name="Corpus", handle=corpus.show_versions),
    Entry(method="GET", path="/corpora/{name}/versions/{version}", name="Corpus", handle=corpus.show_version),
    Entry(
        method="POST",
        path="/corpora/{name}/versions/{version}",
        name="Corpus",
        handle=corpus.decide,
        command="corpus accept",
        back=corpus.show_version,
        is_decision=True,
    ),
    Entry(method="GET", path="/corpora/{name}/passages/{rev}/{chunk}", name="Passage", handle=passage.show_passage),
    Entry(method="GET", path="/ledger", name="Ledger", handle=ledger.show_ledger, needs=Action.AUDIT),
    Entry(method="GET", path="/ledger/{entry}", name="Ledger", handle=ledger.show_entry, needs=Action.AUDIT),
    Entry(
        method="POST",
        path="/ledger",
        name="Ledger",
        handle=ledger.verify,
        needs=Action.AUDIT,
        command="ledger verify",
        back=ledger.show_ledger,
    ),
)

TABLE: Final = Table(ENTRIES)
