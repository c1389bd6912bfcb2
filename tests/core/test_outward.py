"""Every form of an address that is not public is refused, unless a declared network names it (serving.md 5.8)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pilotage.adapters.outward import CheckedResolver, require_reachable
from pilotage.core.outward import is_odd_host, may_reach
from pilotage.core.urls import check_url

REFUSED = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:0a00:0001::1",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "",
    "bank.example",
    "127.1",
)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not may_reach(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_may_be_reached(address: str) -> None:
    assert may_reach(address)


def test_a_declared_network_opens_itself_and_nothing_else() -> None:
    assert may_reach("10.1.2.3", ("10.1.0.0/16",))
    assert may_reach("::ffff:10.1.2.3", ("10.1.0.0/16",))
    assert not may_reach("10.2.0.1", ("10.1.0.0/16",))
    assert not may_reach("10.1.2.3", ("no network",))


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "0x7f000001", "2130706433", "010.0.0.1", "1.2.3.4.", "0"])
def test_odd_forms_of_an_address_are_not_read(host: str) -> None:
    assert is_odd_host(host)
    with pytest.raises(OSError, match="in a form that is not read"):
        require_reachable(f"https://{host}/keys")


@pytest.mark.parametrize("host", ["10.0.0.1", "bank.example", "1.example", "a.b.c"])
def test_plain_hosts_are_read(host: str) -> None:
    assert not is_odd_host(host)


@pytest.mark.parametrize("url", ["https://127.0.0.1/keys", "https://[::1]/keys", "https://[::ffff:10.0.0.1]:8443/"])
def test_a_private_address_in_a_url_is_refused(url: str) -> None:
    with pytest.raises(OSError, match="is not public"):
        require_reachable(url)


DISGUISED = (
    "http://127\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}0\N{IDEOGRAPHIC FULL STOP}1:8080/keys",
    "https://169\N{FULLWIDTH FULL STOP}254\N{FULLWIDTH FULL STOP}169\N{IDEOGRAPHIC FULL STOP}254/latest",
    "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/keys",
)


@pytest.mark.parametrize("url", DISGUISED)
def test_an_address_in_other_dots_and_digits_is_the_address_that_is_connected_to(url: str) -> None:
    with pytest.raises(OSError, match="is not public"):
        require_reachable(url)
    with pytest.raises(ValueError, match="ASCII"):
        check_url(url)


def test_a_host_that_is_not_ascii_is_no_declared_address() -> None:
    with pytest.raises(ValueError, match="xn--"):
        check_url("https://169\N{IDEOGRAPHIC FULL STOP}254.169.254/")
    assert check_url("https://xn--bcher-kva.example/keys")


def test_an_address_without_a_host_is_not_reachable() -> None:
    with pytest.raises(OSError, match="no host"):
        require_reachable("https:///keys")


def _resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def found(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", found)


def test_a_name_with_one_private_answer_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(OSError, match=r"idp\.example is at 10\.0\.0\.1"):
        asyncio.run(CheckedResolver().resolve("idp.example", 443))


def test_what_was_checked_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, "8.8.8.8")
    (found,) = asyncio.run(CheckedResolver().resolve("idp.example", 443))
    assert (found["host"], found["hostname"], found["port"]) == ("8.8.8.8", "idp.example", 443)
    assert found["flags"] & socket.AI_NUMERICHOST
