"""Every vector of the specification: valid values are found with their type, invalid ones are not."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import pytest

from pilotage.guard.pii_recognise import recognise, select
from pilotage.guard.pii_types import PiiType
from pilotage.guard.policy import Action, Check, FailMode, Stage
from pilotage.guard.redact import (
    USUAL,
    PromptRedactor,
    Rules,
    rules_of_line,
    stored_form,
    stored_token,
    took_out,
    without_tokens,
)
from pilotage.guard.secrets import has_secret

KEY = hashlib.sha256(b"tenant key example").digest()
PLT_KEY = "plt_sk_7Q2mX9aB4c_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_28rkhe"

VALID = [
    ("4111111111111111", PiiType.CREDIT_CARD),
    ("2223000048410010", PiiType.CREDIT_CARD),
    ("0604846510030717", PiiType.CREDIT_CARD),
    ("378282246310005", PiiType.CREDIT_CARD),
    ("4111 1111 1111 1111", PiiType.CREDIT_CARD),
    ("GB82WEST12345698765432", PiiType.IBAN),
    ("GB82 WEST 1234 5698 7654 32", PiiType.IBAN),
    ("DE89370400440532013000", PiiType.IBAN),
    ("routing 021000021", PiiType.US_ABA),
    ("misrouting, routing 021000021", PiiType.US_ABA),
    ("943 476 5919", PiiType.UK_NHS),
    ("NHS 9434765919", PiiType.UK_NHS),
    ("Steuer 86095742719", PiiType.DE_TAX_ID),
    ("NIR 255081416802538", PiiType.FR_NIR),
    ("12345678Z", PiiType.ES_DNI),
    ("X1234567L", PiiType.ES_NIE),
    ("RSSMRA85T10A562S", PiiType.IT_CF),
    ("BSN 111222333", PiiType.NL_BSN),
    ("NN 85.07.30-033.28", PiiType.BE_NN),
    ("NN 17.07.30-033.84", PiiType.BE_NN),
    ("NIF 123456789", PiiType.PT_NIF),
    ("PESEL 44051401359", PiiType.PL_PESEL),
    ("811228-9874", PiiType.SE_PNR),
    ("131052-308T", PiiType.FI_HETU),
    ("1234567T", PiiType.IE_PPSN),
    ("1234567FA", PiiType.IE_PPSN),
    ("SSN 536-90-8726", PiiType.US_SSN),
    ("my social security number is 536908726", PiiType.US_SSN),
    ("912-70-1234", PiiType.US_ITIN),
    ("AB123456C", PiiType.UK_NINO),
    ("jo.bloggs@example.com", PiiType.EMAIL),
    ("(415) 555-2671", PiiType.PHONE),
    ("+44 20 7946 0958", PiiType.PHONE),
    ("10.1.2.3", PiiType.IP),
    ("2001:db8:0:1::7", PiiType.IP),
    ("born on 3 February 1980", PiiType.DATE_OF_BIRTH),
    ("account 12345678", PiiType.BANK_ACCOUNT),
    ("sort code 12-34-56", PiiType.SORT_CODE),
    ("passport L12345678", PiiType.PASSPORT),
    ("L898902C36UTO7408122F1204159ZE184226B<<<<<10", PiiType.MRZ),
    ("password=hunter22", PiiType.SECRET),
    (PLT_KEY, PiiType.SECRET),
    ("AKIAIOSFODNN7EXAMPLE", PiiType.SECRET),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", PiiType.SECRET),
]

INVALID = [
    ("4111111111111112", PiiType.CREDIT_CARD),
    ("0000000000000000", PiiType.CREDIT_CARD),
    ("GB82WEST12345698765431", PiiType.IBAN),
    ("routing 021000022", PiiType.US_ABA),
    ("Steuer 86095742718", PiiType.DE_TAX_ID),
    ("12345678A", PiiType.ES_DNI),
    ("NIF 123456788", PiiType.PT_NIF),
    ("NN 85.07.30-033.29", PiiType.BE_NN),
    ("131052-308U", PiiType.FI_HETU),
    ("QQ123456C", PiiType.UK_NINO),
    ("666-12-3456", PiiType.US_SSN),
    ("912-89-1234", PiiType.US_ITIN),
    ("reference 12-34-56", PiiType.SORT_CODE),
    ("536908726", PiiType.US_SSN),
    ("version 10.1.2.3", PiiType.IP),
    ("10.1.2.999", PiiType.IP),
    ("L898902C<AUTO6908061F9406236ZE184226B<<<<<14", PiiType.MRZ),
    ("misrouting 021000021", PiiType.US_ABA),
    ("effective 3 February 1980", PiiType.DATE_OF_BIRTH),
    (PLT_KEY[:-1] + "f", PiiType.SECRET),
]


@pytest.mark.parametrize(("text", "kind"), VALID)
def test_a_valid_value_is_found_and_leaves_no_text(text: str, kind: PiiType) -> None:
    found = select(recognise(text), threshold=0.5, types={})
    assert kind in {one.type for one in found}
    redacted = PromptRedactor().redact(text).text
    assert not any(text[one.start : one.end] in redacted for one in found)


def test_every_type_has_a_vector() -> None:
    assert {kind for _, kind in VALID} == set(PiiType)


@pytest.mark.parametrize(("text", "kind"), INVALID)
def test_an_invalid_value_is_not_taken_for_one(text: str, kind: PiiType) -> None:
    assert kind not in {one.type for one in select(recognise(text), threshold=0.5, types={})}


def test_overlapping_matches_never_both_stand() -> None:
    found = recognise("account 4111111111111111 routing 021000021")
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))


def test_stored_tokens_have_the_form_of_the_specification() -> None:
    assert stored_token(PiiType.US_SSN, "536908726", KEY) == "<US_SSN#3ce39e54a025>"
    once = stored_form("SSN 536-90-8726 and again 536-90-8726.", KEY)
    assert once.text == "SSN <US_SSN#3ce39e54a025> and again <US_SSN#3ce39e54a025>."
    assert once.counts == {"US_SSN": 2}
    assert PromptRedactor().redact("from 9:00 to 17:00 on 3 July 2026 for $25,000").counts == {}


def test_equal_values_get_equal_tokens_through_all_messages_and_come_back_to_their_caller() -> None:
    redactor = PromptRedactor()
    assert redactor.redact("Mail a@b.com").text == "Mail <EMAIL_1>"
    assert redactor.redact("c@d.org, a@b.com").text == "<EMAIL_2>, <EMAIL_1>"
    assert redactor.restore("To <EMAIL_2>, not <EMAIL_9>").text == "To c@d.org, not <EMAIL_9>"


def test_nobody_forges_a_token() -> None:
    redactor = PromptRedactor()
    text = redactor.redact("<EMAIL_1> and a@b.com").text
    assert text == "\\<EMAIL_1> and <EMAIL_1>"
    assert redactor.restore(text).text == "<EMAIL_1> and a@b.com"


def test_values_of_a_passage_are_counted_on_and_never_given_back() -> None:
    redactor = PromptRedactor()
    redactor.redact("I am a@b.com")
    assert redactor.redact_passage("Ask a@b.com or c@d.org").text == "Ask <EMAIL_1> or <EMAIL_2>"
    assert redactor.known == {"<EMAIL_1>", "<EMAIL_2>"}
    assert redactor.restore("<EMAIL_1> <EMAIL_2>").text == "a@b.com <EMAIL_2>"


def test_numbers_of_tokens_that_a_passage_holds_already_are_not_given_again() -> None:
    redactor = PromptRedactor()
    redactor.expect("Stored with <EMAIL_4>.")
    assert redactor.redact("a@b.com").text == "<EMAIL_5>"
    assert redactor.redact_answer("<EMAIL_4> and <EMAIL_3>").text == "<EMAIL_4> and \\<EMAIL_3>"


def test_an_answer_is_stored_with_one_way_tokens_of_the_prompt_s_values_and_of_new_ones() -> None:
    redactor = PromptRedactor()
    redactor.redact("I am a@b.com")
    stored = redactor.stored("To <EMAIL_1>, c@d.org and <EMAIL_9>", KEY)
    mine, new = (stored_token(PiiType.EMAIL, value, KEY) for value in ("A@BCOM", "C@DORG"))
    assert stored == f"To {mine}, {new} and \\<EMAIL_9>"


def test_places_of_a_restored_text_follow_what_was_put_back() -> None:
    redactor = PromptRedactor()
    before = "By " + redactor.redact("someone.long@bank.example").text + " today"
    after = redactor.restore(before)
    assert after.text == "By someone.long@bank.example today"
    assert [after.place(before.index(word)) for word in ("By", "today")] == [0, after.text.index("today")]
    assert redactor.restore("nothing").place(3) == 3


def test_what_is_searched_is_what_was_said_in_words() -> None:
    assert without_tokens("Mail <EMAIL_1> of \\<EMAIL_2>") == "Mail   of \\<EMAIL_2>"


@pytest.mark.parametrize(
    ("text", "took"), [("Mail a@b.com", True), ("Mail <EMAIL#0123456789ab>", False), ("Hi", False)]
)
def test_a_stored_form_says_whether_it_lost_something(text: str, took: bool) -> None:
    assert took_out(stored_form(text, KEY).text) is took


def test_an_empty_text_holds_nothing() -> None:
    assert recognise("") == ()


def test_types_that_the_policy_allows_stay() -> None:
    found = select(recognise("10.1.2.3 a@b.com"), threshold=0.5, types={"IP": Action.ALLOW})
    assert [one.type for one in found] == [PiiType.EMAIL]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auth: env:MODEL_KEY", False),
        ("password: env:DB_PASSWORD", False),
        ("sha256:" + "ab" * 32, False),
        ("Passwords are changed every 90 days.", False),
        ("api_key = 9f8e7d6c5b4a", True),
        (PLT_KEY, True),
    ],
)
def test_a_seal_sees_secrets_and_no_references(text: str, expected: bool) -> None:
    assert has_secret(text) is expected


def test_a_token_that_the_model_repeats_comes_back_as_the_callers_value() -> None:
    redactor = PromptRedactor()
    redactor.redact("Mail a@b.com")
    answer = redactor.redact_answer("Write to <EMAIL_1>, not to <EMAIL_7> or c@d.org.").text
    assert answer == "Write to <EMAIL_1>, not to \\<EMAIL_7> or <EMAIL_2>."
    assert redactor.restore(answer).text == "Write to a@b.com, not to <EMAIL_7> or <EMAIL_2>."


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.6, 0.7, 0.85, 0.9, 0.95, 0.99])
def test_a_type_counts_as_replaced_only_where_each_of_its_values_is(threshold: float) -> None:
    rules = Rules(threshold=threshold)
    for text, kind in VALID:
        if rules.replaces_all(kind, found_at=USUAL.threshold):
            assert USUAL.find(text) == tuple(one for one in rules.find(text) if one.score >= USUAL.threshold)
    left = {kind for kind in PiiType if not rules.replaces_all(kind, found_at=USUAL.threshold)}
    assert (left == set(), left == set(PiiType) - {PiiType.MRZ}) == (threshold <= 0.6, threshold == 0.99)
    assert not rules.replaces_all("NO_SUCH_TYPE", found_at=USUAL.threshold)


def test_a_line_replaces_what_it_does_not_allow_and_secrets_always() -> None:
    line = Check(id="pii_in", stage=Stage.INPUT, action=Action.REDACT, fail=FailMode.CLOSED)
    allowing = replace(line, types={"EMAIL": Action.ALLOW, "SECRET": Action.ALLOW})
    assert rules_of_line(None) is rules_of_line(line) is rules_of_line(replace(line, threshold=0.5)) is USUAL
    assert rules_of_line(replace(line, threshold=0.9)) == Rules(threshold=0.9, types={})
    assert rules_of_line(allowing) == Rules(types={"EMAIL": Action.ALLOW})
    kinds = ("EMAIL", "SECRET", "PHONE")
    assert [rules_of_line(allowing).replaces_all(kind, found_at=0.5) for kind in kinds] == [False, True, True]
