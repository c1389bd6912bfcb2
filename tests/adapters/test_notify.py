"""Channels: what PagerDuty, a mail server and a chat are told, and over which addresses nobody is told anything."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from tests.adapters.certificates import self_signed
from tests.adapters.test_tunnel import TestProxy

from pilotage.adapters.notify.channel import send_to_channel
from pilotage.adapters.notify.pagerduty import event_of
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


@pytest.mark.feature("D13.80", "X12")
def test_mail_is_sent_over_starttls_to_a_server_that_proves_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = self_signed("localhost", tmp_path / "mail.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    box, port = Mailbox(), free_port()
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
        address = f"mailtos://ops:secret@localhost:{port}?from=pilotage@bank.example&to=oncall@bank.example"
        with pytest.raises(Unavailable):
            send_to_channel(address, PAGE, key="k")
        assert box.letters == [], "nobody vouched for the server"
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        send_to_channel(address, PAGE, key="k", origin=ORIGIN)
    finally:
        server.stop()
    ((to, letter, is_encrypted),) = box.letters
    assert (to, is_encrypted) == (["oncall@bank.example"], True)
    assert PAGE["title"] in letter
    assert PAGE["text"] in letter


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("slack://a/b/c?verify=no", "CHANNEL_ADDRESS"),
        ("mailto://mail.bank.example?to=a@b.example", "CHANNEL_ADDRESS"),
        ("mailtos://mail.bank.example?mode=insecure", "CHANNEL_ADDRESS"),
        ("mailto://localhost?smtp=mail.bank.example", "CHANNEL_ADDRESS"),
        ("mailtos://ops:secret@10.1.2.3:587?from=a@b.example&to=c@b.example", "CHANNEL_PLACE"),
        ("slack://nothing-that-apprise-reads", "CHANNEL_ADDRESS"),
        ("pagerduty://short", "CHANNEL_ADDRESS"),
        (f"pagerduty://{ROUTING}@[", "CHANNEL_ADDRESS"),
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
