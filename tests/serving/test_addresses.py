"""Forged forwarding headers from untrusted peers never change the client address (serving.md 3.1, 9.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.serving.addresses import client_address, may_enter, parse_address
from pilotage.serving.refusal import Code, Refusal

PROXIES = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.feature("D13.86")
@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", (), "192.0.2.9"),
        ("192.0.2.9", ("203.0.113.5",), "192.0.2.9"),
        ("10.0.0.1", ("203.0.113.5",), "203.0.113.5"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.5, 10.0.0.2",), "203.0.113.5"),
        ("10.0.0.1", ("1.1.1.1", "203.0.113.5"), "203.0.113.5"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("::ffff:10.0.0.1", ("::ffff:203.0.113.5",), "203.0.113.5"),
        ("fd00::1", ("2001:db8::7",), "2001:db8::7"),
    ],
)
def test_the_client_is_the_first_untrusted_hop_from_the_right(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == parse_address(client)


@pytest.mark.parametrize("entry", ["nonsense", "203.0.113.5:80", "", "203.0.113.5, ", "unknown", "0x7f.1"])
def test_an_entry_that_cannot_be_parsed_is_refused(entry: str) -> None:
    refusal = client_address("10.0.0.1", (entry,), PROXIES)
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.IP_NOT_ALLOWED


@given(st.lists(st.text(max_size=40), max_size=4))
def test_nothing_an_untrusted_peer_sends_changes_its_address(forwarded: list[str]) -> None:
    assert client_address("192.0.2.9", forwarded, PROXIES) == parse_address("192.0.2.9")


@pytest.mark.feature("D13.85", "D13.86")
def test_an_address_enters_by_its_rule_and_loopback_only_in_local_mode() -> None:
    inside, outside, loopback = (parse_address(text) for text in ("10.1.2.3", "192.0.2.1", "127.0.0.1"))
    assert inside is not None
    assert outside is not None
    assert loopback is not None
    assert may_enter(inside, ("10.0.0.0/8",), local_mode=False) == "10.0.0.0/8"
    assert may_enter(outside, None, local_mode=False) == "any"
    assert isinstance(may_enter(outside, ("10.0.0.0/8",), local_mode=True), Refusal)
    assert may_enter(loopback, ("10.0.0.0/8",), local_mode=True) == "loopback_local"
    assert isinstance(may_enter(loopback, ("10.0.0.0/8",), local_mode=False), Refusal)
