"""How a space's `security` is kept at its door: TLS on the way here, and tokens of the identity provider alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.console.incoming import read_head
from pilotage.core.ids import SpaceName
from pilotage.serving.addresses import FORWARDING, is_over_tls
from pilotage.serving.context import KeyLimits, Peer
from pilotage.serving.refusal import Code
from pilotage.space.settings import Authentication, Security, Space
from pilotage.testing.desk import Desk, opened
from pilotage.testing.gateway import chat, running
from pilotage.testing.serving_path import Plan, space
from pilotage.workspace.people import IdentityMode

pytestmark = pytest.mark.anyio
PROXY = ("10.0.0.0/8",)
OUTSIDE = "192.0.2.7"


def secured(**security: object) -> Space:
    return space(SpaceName("east"), security=Security(**security))  # type: ignore[arg-type]


@pytest.mark.feature("D13.84")
@pytest.mark.parametrize(
    ("peer", "enters"),
    [
        (Peer(address=OUTSIDE), False),
        (Peer(address=OUTSIDE, is_tls=True), True),
        (Peer(address="127.0.0.1"), True),
        (Peer(address="10.0.0.1", forwarded_for=(OUTSIDE,), forwarded_proto="https"), True),
        (Peer(address="10.0.0.1", forwarded_for=(OUTSIDE,), forwarded_proto="http"), False),
        (Peer(address="10.0.0.1", forwarded_for=(OUTSIDE,), forwarded_proto="https, http"), False),
        (Peer(address="10.0.0.1", forwarded_for=(OUTSIDE,)), False),
        (Peer(address=OUTSIDE, forwarded_proto="https"), False),
        (Peer(address=OUTSIDE, forwarded_for=("127.0.0.1",)), False),
        (Peer(address="127.0.0.1", forwarded_for=(OUTSIDE,)), False),
        (Peer(address="127.0.0.1", forwarded_proto="https"), False),
        (Peer(address="127.0.0.1", is_forwarded=True), False),
        (Peer(address="10.0.0.1", forwarded_for=("127.0.0.1, 10.9.9.9",), forwarded_proto="http"), False),
    ],
    ids=[
        *("plain", "tls", "loopback", "proxy tls", "proxy plain", "last hop", "silent proxy", "own word", "forged"),
        *("unlisted proxy here", "its word alone", "any other header", "forged behind a trusted range"),
    ],
)
async def test_a_space_with_encryption_in_transit_is_reached_over_tls_or_from_this_machine(
    peer: Peer, *, enters: bool
) -> None:
    async with opened(Plan(spaces=[secured(encryption_in_transit=True)], trusted_proxies=PROXY)) as desk:
        if enters:
            assert (await desk.answer(peer=peer)).text
            return
        refused = await desk.refusal(peer=peer)
        assert (refused.code, "over TLS only" in refused.message) == (Code.NOT_PERMITTED, True)
    async with opened(Plan(spaces=[secured()], trusted_proxies=PROXY)) as desk:
        assert (await desk.answer(peer=peer)).text


@pytest.mark.parametrize("name", [None, *FORWARDING])
async def test_over_http_and_by_the_console_any_forwarding_header_asks_for_tls(name: str | None) -> None:
    brought = {} if name is None else {name: "127.0.0.1"}
    async with running(Plan(spaces=[secured(encryption_in_transit=True)])) as up:
        response, _ = await up.post(chat(), headers=brought)
        assert response.status == (200 if name is None else 403)
    head = {"method": "GET", "path": "/ask", "query_string": b"", "client": ("127.0.0.1", 1), "scheme": "http"}
    headers = [(key.encode(), value.encode()) for key, value in brought.items()]
    assert read_head({**head, "headers": headers}, ()).peer.is_forwarded is (name is not None)


def test_of_what_several_proxies_say_the_nearest_counts() -> None:
    assert is_over_tls("10.0.0.1", "http, HTTPS ", PROXY)
    assert not is_over_tls("no address", "https", PROXY)


def as_key(desk: Desk, mode: IdentityMode) -> None:
    """Let `maria` come with a key, under this identity mode."""
    desk.path.authenticator.keys["maria"] = KeyLimits(key="k")
    workspace = desk.path.serving.workspace
    identity = replace(workspace.identity, mode=mode)
    desk.path.serving = replace(desk.path.serving, workspace=replace(workspace, identity=identity))
    desk.pipeline = type(desk.pipeline)(desk.path.serving)


@pytest.mark.feature("D13.88")
@pytest.mark.parametrize(
    ("asked", "mode", "enters"),
    [
        (Authentication.OAUTH2, IdentityMode.OIDC, False),
        (Authentication.ANY, IdentityMode.OIDC, True),
        (Authentication.OAUTH2, IdentityMode.LOCAL, True),
    ],
    ids=["tokens only", "keys too", "no provider to ask"],
)
async def test_a_key_alone_does_not_enter_where_tokens_are_asked_for(
    asked: Authentication, mode: IdentityMode, *, enters: bool
) -> None:
    async with opened(Plan(spaces=[secured(authentication=asked)])) as desk:
        as_key(desk, mode)
        if enters:
            assert (await desk.answer()).text
            return
        refused = await desk.refusal()
        assert (refused.code, "identity provider" in refused.message) == (Code.NOT_PERMITTED, True)
        desk.path.authenticator.keys.clear()
        assert (await desk.answer()).text, "maria's token"
