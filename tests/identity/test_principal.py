"""ACL names: everyone means every authenticated person, never a service, and cannot be joined as a group."""

from __future__ import annotations

from dataclasses import replace

from pilotage.core.ids import PersonId, PrincipalId
from pilotage.identity.principal import (
    EVERYONE,
    Principal,
    PrincipalKind,
    acl_names,
    local_principal_id,
    outside_key,
    service_principal_id,
)


def test_a_person_has_user_group_and_everyone_names() -> None:
    maria = Principal(
        id=local_principal_id(PersonId("maria.chen")),
        kind=PrincipalKind.PERSON,
        person=PersonId("maria.chen"),
        groups=frozenset({"lending"}),
        label="Maria Chen",
        via="local",
    )
    assert acl_names(maria) == {"user:maria.chen", "user:local|maria.chen", "group:lending", EVERYONE}


def test_a_service_is_not_everyone_even_when_a_group_is_called_so() -> None:
    crawler = Principal(
        id=service_principal_id("crawler"),
        kind=PrincipalKind.SERVICE,
        groups=frozenset({"everyone", "lending"}),
        label="crawler",
        via="7Q2mX9aB4c",
    )
    assert acl_names(crawler) == {"service:crawler", "group:lending"}


def test_a_persona_is_treated_as_a_person_without_being_one() -> None:
    persona = Principal(id=PrincipalId("persona|lena"), kind=PrincipalKind.PERSONA, label="lena", via="evaluation")
    assert acl_names(persona) == {"user:persona|lena", EVERYONE}


def test_a_person_of_an_outside_provider_without_a_linked_account_has_no_name_of_ours() -> None:
    stranger = Principal(id=PrincipalId("https://idp.example|7"), kind=PrincipalKind.PERSON, label="7", via="oidc")
    assert acl_names(stranger) == {"user:https://idp.example|7", EVERYONE}


def test_a_service_reaches_what_its_key_names_and_a_key_that_names_nothing_everything() -> None:
    free = Principal(id=service_principal_id("build"), kind=PrincipalKind.SERVICE, label="build", via="k")
    assert outside_key(free, workflow="loans") is None
    key = replace(free, spaces=frozenset({"dev", "qa"}), workflows=frozenset({"loans"}))
    assert outside_key(key, workflow="loans", space="dev") is None
    told = {
        ("cards", "dev"): "The key of build is for loans, not for cards.",
        ("loans", "production"): "The key of build is for dev, qa, not for production.",
        ("loans", None): "The key of build is for dev, qa, not for every space at once.",
    }
    for (workflow, space), text in told.items():
        refusal = outside_key(key, workflow=workflow, space=space)
        assert refusal is not None
        assert [(one.code, one.text) for one in refusal.reasons] == [("NOT_PERMITTED", text)]
