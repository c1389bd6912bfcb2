"""Verified claims become a principal; a list that may be incomplete never serves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.ids import PersonId
from pilotage.identity.claims import MAX_GROUPS, Linked, principal_from_claims, value_at
from pilotage.identity.principal import Principal
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.roles import Role
from pilotage.identity.settings import OidcSettings

SETTINGS = OidcSettings(issuer="https://idp.example", audience="pilotage", jwks_uri="https://idp.example/keys")
CLAIMS: dict[str, Json] = {"iss": "https://idp.example", "sub": "42", "email": "m@bank.example"}


def principal(claims: dict[str, Json], settings: OidcSettings = SETTINGS) -> Principal:
    found = principal_from_claims(claims, settings)
    assert isinstance(found, Principal)
    return found


def code(claims: dict[str, Json], settings: OidcSettings = SETTINGS) -> CredentialCode:
    found = principal_from_claims(claims, settings)
    assert isinstance(found, CredentialRefused)
    return found.code


def test_issuer_and_subject_are_the_identity_and_the_email_only_a_label() -> None:
    found = principal(CLAIMS)
    assert (found.id, found.person, found.label, found.via) == (
        "https://idp.example|42",
        None,
        "m@bank.example",
        "oidc",
    )
    assert principal({"iss": SETTINGS.issuer, "sub": "42"}).label == "42"


@pytest.mark.parametrize(
    "changed",
    [{"iss": "https://idp.example/"}, {"sub": ""}, {"sub": "x" * 256}, {"sub": 42}, {"sub": None}],
)
def test_another_issuer_or_subject_form_is_no_principal(changed: dict[str, Json]) -> None:
    assert code({**CLAIMS, **changed}) is CredentialCode.INVALID_TOKEN


@pytest.mark.feature("X19")
def test_groups_and_roles_at_dotted_paths_as_text_or_list() -> None:
    settings = OidcSettings(
        issuer=SETTINGS.issuer,
        audience="a",
        jwks_uri="https://idp.example/keys",
        groups_claim="realm.groups",
        roles_claim="https://claims.example/roles",
        region_claim="region",
        alias="corp",
        role_map={"QA Lead": Role.QA_LEAD},
    )
    claims: dict[str, Json] = {
        **CLAIMS,
        "realm": {"groups": ["lending", "retail"]},
        "https://claims.example/roles": ["QA Lead", "auditor", "service", "corpus-steward", "unknown"],
        "region": "eu-west-1",
    }
    found = principal(claims, settings)
    assert found.groups == {"corp/lending", "corp/retail"}
    assert found.roles == {Role.QA_LEAD, Role.AUDITOR}
    assert found.region == "eu-west-1"
    assert principal({**claims, "realm": {"groups": "lending"}}, settings).groups == {"corp/lending"}
    assert principal({**claims, "realm": "none"}, settings).groups == frozenset()
    assert principal({**claims, "realm": {"groups": ""}}, settings).groups == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"_claim_names": {"groups": "src1"}},
        {"hasgroups": True},
        {"hasgroups": "true"},
        {"groups": [f"g{n}" for n in range(MAX_GROUPS + 1)]},
        {"groups": ["a", 7]},
        {"groups": {"a": 1}},
    ],
)
def test_a_list_that_may_be_cut_short_never_serves(changed: dict[str, Json]) -> None:
    assert code({**CLAIMS, **changed}) is CredentialCode.GROUPS_UNRESOLVED


def test_two_thousand_groups_are_read_and_other_overage_markers_do_not_matter() -> None:
    groups: list[Json] = [f"g{n}" for n in range(MAX_GROUPS)]
    found = principal({**CLAIMS, "groups": groups, "_claim_names": {"address": "src1"}, "hasgroups": False})
    assert len(found.groups) == MAX_GROUPS


def test_a_linked_account_brings_person_roster_roles_and_region() -> None:
    linked = {"https://idp.example|42": Linked(person=PersonId("maria"), roles=frozenset({Role.LEGAL}), region="us")}
    found = principal_from_claims({**CLAIMS, "roles": ["auditor"]}, SETTINGS, linked=linked)
    assert isinstance(found, Principal)
    assert (found.person, found.region) == ("maria", "us")
    assert found.roles == frozenset({Role.LEGAL, Role.AUDITOR})


def test_a_claim_of_the_whole_dotted_name_goes_first() -> None:
    assert value_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert value_at({"a": {"b": 2}}, "a.b") == 2
    assert value_at({"a": [1]}, "a.b") is None


@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "groups", "roles", "email", "hasgroups", "_claim_names"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
    )
)
def test_any_claims_give_a_principal_of_this_issuer_or_a_refusal(claims: dict[str, Json]) -> None:
    found = principal_from_claims(claims, SETTINGS)
    assert isinstance(found, CredentialRefused) or found.id == f"{SETTINGS.issuer}|{claims['sub']}"
