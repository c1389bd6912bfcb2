"""`pilotage demo`: the whole story on the sample bank, narrated, with the real commands behind every scene.

The demo has a home of its own, made anew each time. Fail mode: the first scene that does not end as told stops the
demo with exit code 1; nothing is faked.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape

from pilotage.adapters.clock import SystemClock
from pilotage.adapters.direct import direct_connection
from pilotage.cli.answer import render_answer
from pilotage.cli.demo_gates import ReleasePath
from pilotage.cli.demo_rollout import PLAN
from pilotage.cli.demo_scene import SceneError
from pilotage.cli.demo_story import tell_bad_release, tell_gates, tell_rollout
from pilotage.cli.options import NO, Options
from pilotage.cli.runtime import Question, Runtime
from pilotage.cli.workspace import Template, write_template
from pilotage.control.corpus_reports import diff_versions
from pilotage.control.create_key import KeyRequest, create_key
from pilotage.control.explain_interaction import explain_interaction
from pilotage.control.instance import Instance
from pilotage.control.ledger_verify import verify_ledger
from pilotage.control.load_workspace import load_workspace
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import refresh_corpus
from pilotage.control.review_version import accept_version
from pilotage.control.seal_release import seal_release
from pilotage.control.take_down import TakedownRequest, take_down
from pilotage.core.clock import Clock
from pilotage.core.digest import short
from pilotage.core.errors import UsageError
from pilotage.core.ids import CorpusName, PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.core.urls import place_of
from pilotage.identity.principal import Principal
from pilotage.identity.service_key import KeyKind
from pilotage.ledger.verify import Verdict
from pilotage.store.corpora import versions_of
from pilotage.store.embedded_home import resolve_home
from pilotage.store.outbox import NOTIFICATION, claim_message, mark_delivered
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.principals import local_principal

T = TypeVar("T")

BANK = "northlake-bank"
WORKFLOW = "policy-assistant"
POLICIES = CorpusName("policies")
UPDATE = "updates/2026-q2"
BUILDER, STEWARD = "maria.chen", "grace.okafor"
WIRE = "What is the daily wire transfer limit for a retail customer?"
RETAINER = "What is the annual retainer of a non-executive director?"
HOLIDAY = "branch-operations/holiday-hours.txt"
HOLIDAY_QUESTION = "Until what time are branches open on New Year's Eve, 31 December 2026?"
_START_S = 60.0
_STORY = {1: timedelta(hours=1), 2: timedelta(days=2), 3: timedelta(days=5), 4: timedelta(days=10)}
"""How long ago the story begins, so that it ends about now."""
_LOGINS = (
    ("engineer", "maria.chen"),
    ("approver and board seat", "yusuf.demir"),
    ("on-call", "hanna.virtanen"),
    ("owner", "nadia.brooks"),
    ("auditor", "anita.rao"),
    ("steward of the documents", "grace.okafor"),
    ("executive sponsor", "helena.stroud"),
)
_ASKER = "omar.haddad"


@dataclass(slots=True, kw_only=True)
class Demo:
    """One telling. `speed` divides the pauses between scenes."""

    runtime: Runtime
    options: Options
    speed: float
    keep: bool
    port: int
    acts: int = 3
    told: list[dict[str, Any]] = field(default_factory=list)
    logins: dict[str, str] = field(default_factory=dict)
    today: Clock = field(default_factory=SystemClock)
    release: str = ""

    def run(self) -> None:
        """Tell the story."""
        environ = dict(os.environ)
        home = Path(environ.get("PILOTAGE_HOME") or f"{resolve_home(BANK, environ)}-demo")
        self._stop_earlier(home)
        folder = home.with_name(f"{home.name}-workspace")
        for old in (home, folder):
            shutil.rmtree(old, ignore_errors=True)
        environ["PILOTAGE_HOME"] = str(home)
        write_template(Template.BANK, folder)
        _use_trial_plan(folder)
        self._say(
            "Northlake Bank", f"A fictional bank's workspace was written to {folder}: people, spaces, gates, corpora."
        )
        opening = Opening(
            start=folder, environ=environ, command="pilotage demo", may_migrate=True, say=self.options.say
        )
        try:
            with open_instance(opening) as opened:
                self._refuse_used(opened)
                clock = SimulatedClock(opened.clock.now() - _STORY[self.acts])
                key = self._story(replace(opened, clock=clock), clock)
        except SceneError as error:
            self.options.err.print(f"[red]The demo stopped: {escape(str(error))}[/red]")
            raise SystemExit(NO) from None
        pid = self._leave_running(home, folder, environ, key) if self.keep else None
        self.options.show(
            {"scenes": self.told, "workspace": str(folder), "home": str(home), "server": pid}, lambda _: None
        )

    def _refuse_used(self, instance: Instance) -> None:
        with instance.engine.connect() as connection:
            if versions_of(connection, POLICIES, most=1):
                message = "This database already holds corpus versions; the demo tells its story on an empty one."
                raise UsageError("DEMO_DATABASE", message, hint="Give DATABASE_URL an empty database, or unset it.")

    def _story(self, instance: Instance, clock: SimulatedClock) -> str:
        self._publish(instance, "The policies are read, held for review, and accepted by a second person.")
        first = self.release = self._seal(instance, "First release, served in the sandbox")
        self._ask(instance, _ASKER, WIRE, refused=False)
        self._ask(instance, _ASKER, RETAINER, refused=True)
        answer = self._ask(instance, "helena.stroud", RETAINER, refused=False)
        self._explain(instance, "helena.stroud", str(answer["interaction"]))
        last = self._to_production(instance, clock, first)
        self._update(instance)
        second = self._seal(instance, "A release on the changed policies", parent=last)
        changed = self._ask(instance, _ASKER, WIRE, refused=False)
        self._expect("$50,000" in str(changed["answer"]), f"release {second[:19]} does not know the new limit")
        self._take_down(instance)
        self._deliver(instance)
        self._verify(instance)
        self._expect(instance.clock.now() <= self.today.now(), "the story ran past today")
        return self._keys(instance)

    def _to_production(self, instance: Instance, clock: SimulatedClock, release: str) -> str:
        """Tell the acts that were asked for; return the newest release."""
        if self.acts == 1:
            return release
        path = ReleasePath(runtime=self.runtime, instance=instance, clock=clock, release=release, say=self._say)
        tell_gates(path)
        if self.acts > 2:
            tell_rollout(path, is_last=self.acts == 3)
        if self.acts < 4:
            return release
        prompt = instance.root / "workflows" / WORKFLOW / "prompt.md"
        prompt.write_text(prompt.read_text().rstrip() + "\nKeep answers short.\n")
        reloaded = replace(instance, workspace=load_workspace(instance.root))
        bad = self._seal(reloaded, "A small change of the prompt", parent=release)
        tell_bad_release(replace(path, instance=reloaded, release=bad, spaces=[]))
        return bad

    def _keys(self, instance: Instance) -> str:
        """Make a key for the asker, and one per role for the console's login."""
        issued = create_key(
            instance,
            actor=self._person(instance, _ASKER),
            request=KeyRequest(kind=KeyKind.LOCAL, name=_ASKER, owner=PersonId(_ASKER)),
        )
        for role, person in _LOGINS:
            request = KeyRequest(kind=KeyKind.LOCAL, name=person, owner=PersonId(person))
            key = self._ok(create_key(instance, actor=self._person(instance, person), request=request))
            self.logins[f"{person} ({role})"] = key.text
        asker = self._ok(issued).text
        self.logins[f"{_ASKER} (asks the assistant)"] = asker
        return asker

    def _deliver(self, instance: Instance) -> None:
        """Play the bank's channels: what the story told people has arrived."""
        with instance.engine.begin() as connection:
            while (message := claim_message(connection, [NOTIFICATION], instance.clock.now())) is not None:
                mark_delivered(connection, message)

    def _publish(self, instance: Instance, words: str) -> int:
        """Refresh as the builder, accept as the steward, and derive the UAT corpus."""
        builder, steward = self._person(instance, BUILDER), self._person(instance, STEWARD)
        tools = self.runtime.refresh_tools(instance, lambda _done, _total: None)
        done = self._ok(refresh_corpus(instance, actor=builder, corpus=POLICIES, tools=tools))
        self._expect(done.version is not None, "nothing new was found")
        number = done.version or 0
        own = accept_version(instance, actor=builder, corpus=POLICIES, version=number)
        self._expect(isinstance(own, Refusal), "the person who triggered a refresh could accept it")
        accepted = self._ok(accept_version(instance, actor=steward, corpus=POLICIES, version=number))
        self._say(
            words,
            f"Version {number}: {done.added} added, {done.changed} changed, {done.removed} removed, "
            f"{done.chunks} chunks, {len(done.rejected)} rejected. {BUILDER} may not accept their own refresh; "
            f"{STEWARD} did: {accepted.state}.",
        )
        uat = CorpusName("policies-uat")
        derived = self._ok(refresh_corpus(instance, actor=builder, corpus=uat, tools=tools))
        if derived.version is not None:
            self._ok(accept_version(instance, actor=steward, corpus=uat, version=derived.version))
        return number

    def _seal(self, instance: Instance, words: str, *, parent: str | None = None) -> str:
        sealed = self._ok(seal_release(instance, actor=self._person(instance, BUILDER), workflow=WORKFLOW, note=words))
        self._expect(sealed.parent == parent, "the release has another parent than the one before")
        self._say(words, f"{sealed.digest} is sealed, signed, and served in {', '.join(sealed.serving)}.")
        return sealed.digest

    def _ask(self, instance: Instance, person: str, text: str, *, refused: bool | None) -> dict[str, Any]:
        answer = self.runtime.ask(
            instance, self._person(instance, person), Question(workflow=WORKFLOW, text=text, space="sandbox")
        )
        self._say(f"{person} asks: {text}", None)
        if not self.options.as_json:
            render_answer(self.options.out, answer)
        self.told[-1]["answer"] = answer
        self._expect(refused in {None, bool(answer["refused"])}, f"{person} got {answer['answer']!r}")
        return answer

    def _explain(self, instance: Instance, person: str, interaction: str) -> None:
        found = explain_interaction(instance, actor=self._person(instance, person), interaction=interaction).as_json()
        passages = found.get("passages", [])
        self._say(
            "Why was this person given this answer?",
            f"Interaction {interaction}: {len(passages)} passages the asker may read, the release and its authors, "
            "every guard's finding, and the proof in the ledger: `pilotage explain` shows the whole chain.",
        )

    def _update(self, instance: Instance) -> None:
        documents = instance.root / "corpora" / POLICIES / "documents"
        update = instance.root / UPDATE
        shutil.copytree(update / "documents", documents, dirs_exist_ok=True)
        for name in (update / "withdrawn.txt").read_text().split():
            (documents / name).unlink()
        number = self._publish(instance, "Policies change.")
        diff = diff_versions(instance, actor=self._person(instance, STEWARD), corpus=POLICIES, b=number).diff
        self._say(
            "What the steward reviewed",
            f"added {', '.join(diff.added)}; changed {', '.join(diff.changed)}; removed {', '.join(diff.removed)}",
        )

    def _take_down(self, instance: Instance) -> None:
        before = self._ask(instance, _ASKER, HOLIDAY_QUESTION, refused=False)
        self._expect(HOLIDAY in _cited(before), "the notice is not cited")
        done = self._ok(
            take_down(
                instance,
                actor=self._person(instance, STEWARD),
                request=TakedownRequest(corpus=POLICIES, document=HOLIDAY, reason="Published by mistake.", wait=True),
            )
        )
        proof = dict(done.proof or {})
        self._say(
            f"{HOLIDAY} is taken down",
            f"State {done.state}: hidden from every version at once, then erased. {proof.get('shingles')} pieces of "
            f"its text were searched in {proof.get('files_scanned')} files: {proof.get('hits')} hits.",
        )
        after = self._ask(instance, _ASKER, HOLIDAY_QUESTION, refused=None)
        self._expect(HOLIDAY not in _cited(after), "a taken-down document is cited")

    def _verify(self, instance: Instance) -> None:
        found = self._ok(verify_ledger(instance))
        self._expect(found.verdict is Verdict.VERIFIED, "the ledger does not verify")
        self._say("The ledger verifies", f"{found.entries:,} entries; root {found.as_json().get('root')}")

    def _leave_running(self, home: Path, folder: Path, environ: dict[str, str], key: str) -> int:
        log = home / "up.log"
        command = [sys.executable, "-m", "pilotage", "up", "--workspace", str(folder), "--port", str(self.port)]
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        (home / "demo.pid").write_text(str(process.pid))
        address = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + _START_S
        while not _is_ready(address):
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"The server did not become ready; see {log}."
                raise SceneError(message)
            time.sleep(0.2)
        if not self.options.as_json:
            self._invite(address, process.pid, home, folder, key)
        return process.pid

    def _invite(self, address: str, pid: int, home: Path, folder: Path, key: str) -> None:
        body = json.dumps({"model": WORKFLOW, "messages": [{"role": "user", "content": WIRE}]})
        self.options.out.print(f"\n[bold green]Serving on {address}[/bold green] (stop it with: kill {pid}). Try it:\n")
        self.options.out.print("Log in at " + address + "/login with one of these keys:")
        for who, login in self.logins.items():
            self.options.out.print(f"  {who}: {login}", soft_wrap=True)
        self.options.out.print("\nLook first at:")
        for path, what in self._sights():
            self.options.out.print(f"  {address}{path}  {what}", soft_wrap=True)
        self.options.out.print("")
        for line in (
            (
                f"curl {address}/v1/chat/completions -H 'Authorization: Bearer {key}' "
                f"-H 'Content-Type: application/json' -d '{body}'"
            ),
            f"export PILOTAGE_HOME={home}",
            f'{_command()} ask {WORKFLOW} "{RETAINER}" --as helena.stroud --workspace {folder}',
        ):
            self.options.out.print(escape(line), soft_wrap=True)

    def _sights(self) -> Iterator[tuple[str, str]]:
        """Yield where the story stands in the console, with what is seen there."""
        yield "/workflows", "where the assistant is on its way to production"
        if self.acts > 1:
            yield f"/releases/{short(self.release)}/gates/cab", "the board's votes, a dissent under risk acceptance"
        if self.acts > 2:
            yield "/rollouts", "who met the release, and what went back by itself"
            yield "/incidents", "what that opened"
        yield f"/ask/{WORKFLOW}", "ask; under each answer stands why it was given"
        yield "/ledger", "every decision and answer, verified on a click (as the auditor)"

    def _stop_earlier(self, home: Path) -> None:
        """Stop the server an earlier demo of this home left running; nobody else's process is touched."""
        try:
            pid = int((home / "demo.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if b"\0pilotage\0up\0" not in command or str(home.name).encode() not in command:
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _START_S
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _person(self, instance: Instance, name: str) -> Principal:
        return local_principal(instance.workspace, PersonId(name))

    def _say(self, title: str, text: str | None) -> None:
        self.told.append({"title": title, "text": text})
        if self.options.as_json:
            return
        self.options.out.print(f"\n[bold cyan]{len(self.told):2}. {escape(title)}[/bold cyan]")
        if text:
            self.options.out.print(f"    {escape(text)}")
        time.sleep(2.0 / self.speed)

    def _ok(self, result: T | Refusal) -> T:
        if isinstance(result, Refusal):
            raise SceneError("; ".join(f"{reason.code}: {reason.text}" for reason in _reasons(result)))
        return result

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise SceneError(otherwise)


def _use_trial_plan(folder: Path) -> None:
    """Make the demo's plan the default: the board approves the plan that is then used."""
    file = folder / "workflows" / WORKFLOW / "workflow.yaml"
    file.write_text(file.read_text().replace("default_plan: bank-standard", f"default_plan: {PLAN}"))


def _cited(answer: dict[str, Any]) -> set[str]:
    return {str(citation["document"]) for citation in answer["citations"]}


def _reasons(refusal: Refusal) -> tuple[Reason, ...]:
    return refusal.reasons


def _is_ready(address: str) -> bool:
    host, port = place_of(address)
    connection = direct_connection(host, port, is_tls=False, timeout_s=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


def _command() -> str:
    """Return what to type for this command: its name, or its path where the shell does not find it."""
    return "pilotage" if shutil.which("pilotage") else str(Path(sys.executable).with_name("pilotage"))
