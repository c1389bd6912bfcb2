"""Channels: what PagerDuty, a mail server and a chat are told, and over which addresses nobody is told anything."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from tests.adapters.certificates import self_signed
from tests.adapters.test_tunnel import TestProxy

from pilotage.adapters.notify import spoken
from pilotage.adapters.notify.channel import send_to_channel
from pilotage.adapters.notify.pagerduty import event_of, read_address
from pilotage.adapters.notify.services import service_of
from pilotage.adapters.notify.spoken import words_for
from pilotage.adapters.notify.spoken_child import Statuses, open_channel
from pilotage.adapters.notify.words import still
from pilotage.core.errors import PilotageError, Unavailable, UsageError

ORIGIN = "https://pilotage.bank.example"
ROUTING = "R0UTINGKEY0123456789ABCDEFGHIJ42"
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
PAGE: dict[str, Any] = {
    "kind": "page",
    "audience": ["page"],
    "title": "SEV2 policy-assistant in production-eu-space: error_rate",
    "text": "The candidate failed 12 of 400 requests.",
    "links": {"incident": "01JC0000000000000000000000"},
    "facts": {"severity": "SEV2", "spaces": ["production-eu-space"], "release": None},
    "page": "01JD0000000000000000000000",
}


class Taker:
    """A service on loopback that keeps the JSON it is sent and answers `status`."""

    def __init__(self, certificate: Path | None = None, *, status: int = 202, **headers: str) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seen.append((self.path, json.loads(body)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, name="taker", daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def taking(certificate: Path | None = None, *, status: int = 202, **headers: str) -> Iterator[Taker]:
    made = Taker(certificate, status=status, **headers)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.feature("D13.79", "X8")
def test_pages_of_one_incident_are_one_alert_that_is_acknowledged_and_resolved() -> None:
    with taking() as service:
        address = f"pagerduty://{ROUTING}@127.0.0.1:{service.port}"
        for event in (None, "acknowledge", "resolve"):
            message = PAGE if event is None else {"kind": "page", "event": event, "links": PAGE["links"], "facts": {}}
            send_to_channel(address, message, key="k", origin=ORIGIN)
        events = [body for path, body in service.seen if path == "/v2/enqueue"]
    assert [one["event_action"] for one in events] == ["trigger", "acknowledge", "resolve"]
    assert {one["dedup_key"] for one in events} == {"incident/01JC0000000000000000000000"}
    assert {one["routing_key"] for one in events} == {ROUTING}
    told = events[0]
    assert told["payload"]["severity"] == "error"
    assert (told["payload"]["summary"], told["payload"]["source"]) == (PAGE["title"], "production-eu-space")
    assert told["links"] == [{"href": f"{ORIGIN}/incidents/01JC0000000000000000000000", "text": "incident"}]


def test_a_page_about_no_incident_is_one_alert_over_its_messages_and_a_ticket_warns() -> None:
    bare = {**PAGE, "links": {}, "facts": {"workflow": "desk"}}
    assert {event_of(bare, key=key, origin=None)["dedup_key"] for key in "ab"} == {f"page/{PAGE['page']}"}
    ticket = {"kind": "ticket", "title": "x" * 2_000, "links": {"release": "sha256:1"}, "facts": {}}
    event = event_of(ticket, key="one", origin=None)
    assert (event["dedup_key"], event["links"], event["payload"]["severity"]) == ("page/one", [], "warning")
    assert len(event["payload"]["summary"]) == 1_024


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For `hooks.slack.com` on this machine; it alone is believed."""
    file = self_signed("hooks.slack.com", tmp_path / "slack.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.mark.feature("D13.81", "X11")
def test_slack_is_told_by_the_declared_proxy_and_by_no_variable_of_the_environment(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taking(certificate, status=200) as slack, TestProxy(slack.port) as proxy, taking() as stray:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{stray.port}")
        send_to_channel(SLACK, PAGE, key="k", origin=ORIGIN)
        assert proxy.heads[0].startswith("CONNECT hooks.slack.com:443 ")
        ((path, body),) = slack.seen
        assert stray.seen == []
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    written = json.dumps(body)
    for told in (PAGE["title"], PAGE["text"], f"{ORIGIN}/incidents/01JC0000000000000000000000"):
        assert told in written


def test_a_chat_that_sends_us_elsewhere_or_refuses_has_not_taken_the_message(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taking(certificate, status=307, Location=SLACK.replace("services", "other")) as slack:
        with TestProxy(slack.port) as proxy:
            monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
            with pytest.raises(Unavailable, match=r"did not take the message \(307\)"):
                send_to_channel(SLACK, PAGE, key="k")
        assert len(slack.seen) == 1


class Mailbox:
    """Keeps what a mail server was sent."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], str, bool]] = []

    async def handle_DATA(self, _server: object, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        self.letters.append((envelope.rcpt_tos, content.decode(), session.ssl is not None))
        return "250 OK"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def mail_server(box: Mailbox, certificate: Path) -> Iterator[int]:
    """Serve mail on this machine over STARTTLS to whoever logs in; yields the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    port = free_port()
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=lambda *_: AuthResult(success=True),
    )
    server.start()
    try:
        yield port
    finally:
        server.stop()


TYPED = "See <a href='https://evil.example'>approve</a> & <!channel> <https://evil.example|approve> *now*\n<img src=x>"


@pytest.mark.feature("D13.80", "X12")
def test_mail_is_text_over_starttls_to_a_server_that_proves_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, box = self_signed("localhost", tmp_path / "mail.pem"), Mailbox()
    with mail_server(box, file) as port:
        address = f"mailtos://ops:secret@localhost:{port}?from=pilotage@bank.example&to=oncall@bank.example"
        with pytest.raises(Unavailable):
            send_to_channel(address, PAGE, key="k")
        assert box.letters == [], "nobody vouched for the server"
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        send_to_channel(address, {**PAGE, "text": TYPED}, key="k", origin=ORIGIN)
    ((to, written, is_encrypted),) = box.letters
    assert (to, is_encrypted) == (["oncall@bank.example"], True)
    letter = message_from_string(written)
    assert letter["Subject"] == PAGE["title"]
    assert [part.get_content_type() for part in letter.walk()] == ["text/plain"]
    body = letter.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines()[:3] == [*TYPED.splitlines(), "severity: SEV2"]


def test_one_recipient_that_is_refused_has_the_others_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Mailbox):
        async def handle_RCPT(self, _s: object, _t: object, envelope: Envelope, to: str, _o: object) -> str:  # noqa: N802 - aiosmtpd's name
            if to.startswith("gone"):
                return "550 nobody of that name"
            envelope.rcpt_tos.append(to)
            return "250 OK"

    file, box = self_signed("localhost", tmp_path / "mail.pem"), Picky()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with mail_server(box, file) as port, caplog.at_level(logging.WARNING, "pilotage.notify"):
        place = f"mailtos://ops:secret@localhost:{port}?from=pilotage@bank.example&to="
        send_to_channel(f"{place}gone@bank.example,a@bank.example,b@bank.example", PAGE, key="k")
        assert [sorted(to) for to, _, _ in box.letters] == [["a@bank.example", "b@bank.example"]]
        assert "refused 1 of the recipients" in caplog.text
        with pytest.raises(Unavailable):
            send_to_channel(f"{place}gone@bank.example", PAGE, key="k")


def test_what_people_typed_is_drawn_by_no_chat(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with taking(certificate, status=200) as slack, TestProxy(slack.port) as proxy:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        send_to_channel(SLACK, {**PAGE, "title": "a <!here>", "text": TYPED}, key="k")
        ((_, body),) = slack.seen
    assert body["mrkdwn"] is False
    (shown,) = body["attachments"]
    told = shown["text"].splitlines()[:3]
    assert told[0] == "a &lt;!here&gt;"
    assert told[1].startswith(
        "See &lt;a href='https://evil.example'&gt;approve&lt;/a&gt; &amp; &lt;!channel&gt; &lt;https"
    )
    assert told[2] == "&lt;img src=x&gt;"
    assert {name: value for name, value in shown.items() if "<" in str(value)} == {}


@pytest.mark.parametrize("service", ["workflows", "gchat", "opsgenie", "mmosts", "rockets", "wxteams", "zulip"])
def test_in_a_chat_a_link_a_picture_and_a_mention_are_parted_and_lines_stay_lines(service: str) -> None:
    typed = "<https://e.example|a> <a href=x> @all @**all** [b](https://e.example) ![c](x) [d][e]\n[e]: x"
    title, body = words_for(service, {"title": "@here\n[f](g)", "text": typed, "facts": {}}, None)
    shown = f"{title}\n{body}"
    for drawn in ("<h", "<a", "@a", "@*", "@h", "](", "][", "]:"):
        assert drawn not in shown
    assert shown.replace("\N{ZERO WIDTH SPACE}", "").replace("\n\n", "\n").strip() == f"@here [f](g)\n{typed}"
    assert ("\n\n" in body) == (service in {"workflows", "wxteams"})
    assert still("12 of 400 < 5 % @ 1 [s] (a)") == "12 of 400 < 5 % @ 1 [s] (a)"


MAILTOS = "mailtos://ops:secret@mail.bank.example?from=a@b.example&to=c@b.example"


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("slack://a/b/c?VERIFY=no", "parameter:verify"),
        ("slack://a/b/c?to=1;verify=no", "parameter:verify"),
        ("slack://a/b/c?%20verify%20=no", "parameter:verify"),
        ("slack://a/b/c?redirect=yes&verify=yes", "parameter:redirect,verify"),
        ("slack://a/b/c?xoxb-secret", "parameter:"),
        ("slack://a/b/c?+header=1", "parameter:"),
        ("workflows://host.example/a/b?template=/etc/passwd", "parameter:template"),
        (f"{MAILTOS}&pgppub=/a&pgpprv=/b", "parameter:pgpprv,pgppub"),
        (MAILTOS.replace("from", "Mode=starttls&verify=no&from"), "parameter:verify"),
        (f"{MAILTOS}&MODE=insecure", "plain"),
        (f"{MAILTOS}&mode=insecure%20", "plain"),
        (MAILTOS.replace("mailtos", "mailto"), "plain"),
        ("mailto://localhost?SMTP=mail.bank.example&from=a@b.example", "plain"),
        ("mailto://localhost?smtp=localhost&smtp=mail.bank.example&from=a@b.example", "plain"),
        (f"{MAILTOS}&cc=nobody", "recipient"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23a/%23b", "several"),
        ("slack://nothing-that-apprise-reads", "address"),
        (MAILTOS, ""),
        ("mailto://localhost?from=a@b.example&to=c@b.example", ""),
        (SLACK, ""),
        ("https://chat.googleapis.com/v1/spaces/AAAA/messages?key=k&token=t", ""),
        ("workflows://host.logic.azure.com:443/aaaa/?sig=bbbb&sp=c&sv=1&api-version=2016-06-01", ""),
        ("mmosts://chat.bank.example/3ccdd113474722377935511fc85d3dd4?to=ops", ""),
    ],
)
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
def test_an_address_is_judged_as_apprise_reads_it(address: str, word: str) -> None:
    statuses, logger = Statuses(), logging.getLogger("apprise")
    logger.addHandler(statuses)
    try:
        channel, problem = open_channel(address, service_of(address) or "", statuses)
    finally:
        logger.removeHandler(statuses)
    assert problem == word
    assert (channel is None) == bool(word)


def test_a_child_that_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unavailable, match="is not installed for this process"):
        send_to_channel("slack://a/b/c", PAGE, key="k")
    (tmp_path / "apprise.py").write_text("import os; os._exit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")
    with pytest.raises(Unavailable, match=r"broke off \(exit 9\)"):
        send_to_channel("slack://a/b/c", PAGE, key="k")
    monkeypatch.setattr(spoken, "_KEPT", ())
    monkeypatch.setattr(spoken.sys, "executable", sys._base_executable)  # type: ignore[attr-defined]
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(Unavailable, match="is not installed for this process"):
        send_to_channel("slack://a/b/c", PAGE, key="k")


@pytest.mark.parametrize(
    ("behind", "url"),
    [
        ("", "https://events.pagerduty.com/v2/enqueue"),
        ("@events.eu.pagerduty.com/", "https://events.eu.pagerduty.com/v2/enqueue"),
        ("@[::1]:8080", "http://[::1]:8080/v2/enqueue"),
        ("@[2001:db8::1]", "https://[2001:db8::1]/v2/enqueue"),
        ("@localhost:1", "http://localhost:1/v2/enqueue"),
    ],
)
def test_the_host_of_pagerduty_may_be_named(behind: str, url: str) -> None:
    assert read_address(f"pagerduty://{ROUTING}{behind}") == (ROUTING, url)


def test_a_page_of_no_severity_is_an_error_and_a_grade_is_its_severitys() -> None:
    def grade(facts: dict[str, str]) -> str:
        return str(event_of({**PAGE, "facts": facts}, key="k", origin=None)["payload"]["severity"])

    assert [grade({"severity": f"SEV{n}"}) for n in (1, 2, 3, 4)] == ["critical", "error", "warning", "info"]
    assert grade({}) == "error"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("slack://a/b/c?verify=no", "CHANNEL_ADDRESS"),
        ("mailto://ops:secret@mail.bank.example?to=a@b.example", "CHANNEL_ADDRESS"),
        ("mailtos://ops:secret@10.1.2.3:587?from=a@b.example&to=c@b.example", "CHANNEL_PLACE"),
        ("slack://nothing-that-apprise-reads", "CHANNEL_ADDRESS"),
        ("pagerduty://short", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@[", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@a b", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@a:0", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@a:99999", "CHANNEL_ADDRESS"),
        ("https://tools bank.example/secret", "CHANNEL_ADDRESS"),
        ("https://tools.bank.example:99999/secret", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@10.1.2.3", "CHANNEL_PLACE"),
        ("dbus://", "CHANNEL_ADDRESS"),
        ("http://tools.bank.example/a", "CHANNEL_ADDRESS"),
    ],
)
def test_nothing_is_sent_to_an_address_that_is_unsafe_or_cannot_be_read(address: str, code: str) -> None:
    with pytest.raises(PilotageError) as found:
        send_to_channel(address, PAGE, key="k")
    assert found.value.code == code
    assert "secret" not in f"{found.value} {found.value.hint}"
    assert isinstance(found.value, UsageError) == (code == "CHANNEL_ADDRESS")


def test_what_becomes_of_an_incident_is_for_pagerduty_alone() -> None:
    with taking() as service:
        followed = {"kind": "page", "event": "resolve", "links": PAGE["links"], "facts": {}}
        send_to_channel(f"http://127.0.0.1:{service.port}/a", followed, key="k")
        assert service.seen == []
        send_to_channel(f"http://127.0.0.1:{service.port}/a", PAGE, key="k")
        assert [path for path, _ in service.seen] == ["/a"]
