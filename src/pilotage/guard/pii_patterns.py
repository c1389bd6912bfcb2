"""The recognisers as a table: form, validator, scores without and with context (serving.md 5.3).

Forms are RE2 syntax: linear time, no lookaround. A score of 0 without context means that the value alone says nothing.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pilotage.guard import pii_checksums as check
from pilotage.guard.pii_types import PiiType

_SEPARATORS = re.compile(r"[\s.\-/()]")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """One form. `valid` sees the value without separators, upper case, unless `raw`. `words` are its context."""

    type: PiiType
    pattern: str
    alone: float
    with_context: float
    words: tuple[str, ...] = ()
    valid: Callable[[str], bool] = bool
    raw: bool = False
    regions: frozenset[str] = frozenset()


def bare(text: str) -> str:
    """Return a value without separators, upper case."""
    return _SEPARATORS.sub("", text).upper()


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    digits = sum(char.isdigit() for char in text)
    return 8 <= digits <= 15 if text.startswith("+") else True


def _is_pilotage_key(text: str) -> bool:
    body, _, given = text.rpartition("_")
    number, written = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        written = _BASE62[digit] + written
    return written == given


_SSN = ("ssn", "social security", "soc sec", "tax id", "taxpayer")
_ACCOUNT = ("account", "acct", "a/c", "iban", "sort code", "konto")
_CARD = ("card", "visa", "mastercard", "amex", "credit", "debit", "pan")
_PHONE = ("phone", "tel", "call", "mobile", "cell", "fax", "contact")
_PASSPORT = ("passport", "travel document")
_BORN = ("born", "birth", "dob", "d.o.b")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_DATE = (
    rf"(?i)\b(?:\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{1,2}}[/.\-]\d{{1,2}}[/.\-](?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}} {_MONTH},? \d{{4}}|{_MONTH} \d{{1,2}},? \d{{4}})\b"
)

RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser(
        type=PiiType.US_SSN, pattern=r"\b\d{3}(?:-\d{2}-| \d{2} )\d{4}\b", alone=0.85, with_context=0.95, words=_SSN,
        valid=check.is_ssn,
    ),
    Recogniser(
        type=PiiType.US_SSN, pattern=r"\b\d{9}\b", alone=0, with_context=0.95, words=_SSN, valid=check.is_ssn
    ),
    Recogniser(
        type=PiiType.US_ITIN, pattern=r"\b9\d{2}[- ]\d{2}[- ]\d{4}\b", alone=0.8, with_context=0.95,
        words=(*_SSN, "itin"), valid=check.is_itin,
    ),
    Recogniser(
        type=PiiType.CREDIT_CARD, pattern=r"\b\d(?:[ -]?\d){12,18}\b", alone=0.8, with_context=0.95, words=_CARD,
        valid=check.is_card,
    ),
    Recogniser(
        type=PiiType.CREDIT_CARD, pattern=r"\b\d(?:[ -]?\d){11}\b", alone=0, with_context=0.95, words=_CARD,
        valid=check.is_card,
    ),
    Recogniser(
        type=PiiType.IBAN, pattern=r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b", alone=0.95,
        with_context=0.95, valid=check.is_iban,
    ),
    Recogniser(
        type=PiiType.US_ABA, pattern=r"\b\d{9}\b", alone=0.3, with_context=0.9,
        words=("routing", "aba", "rtn", "transit"), valid=check.is_aba,
    ),
    Recogniser(
        type=PiiType.PHONE, pattern=r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}\b", alone=0.6, with_context=0.85,
        words=_PHONE, valid=_is_phone, raw=True,
    ),
    Recogniser(
        type=PiiType.PHONE, pattern=r"(?:\b1[ .-])?(?:\([2-9]\d{2}\) ?|\b[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}\b",
        alone=0.6, with_context=0.85, words=_PHONE, regions=frozenset({"us"}),
    ),
    Recogniser(
        type=PiiType.PHONE, pattern=r"\b[2-9]\d{2}[ .-]\d{4}\b", alone=0, with_context=0.85,
        words=("phone", "tel", "call me", "mobile", "cell", "fax"), regions=frozenset({"us"}),
    ),
    Recogniser(
        type=PiiType.PHONE, pattern=r"\b0\d{3,4} ?\d{3} ?\d{3,4}\b", alone=0, with_context=0.85, words=_PHONE,
        regions=frozenset({"uk"}),
    ),
    Recogniser(
        type=PiiType.EMAIL,
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}\b",
        alone=0.95, with_context=0.95, raw=True,
    ),
    Recogniser(
        type=PiiType.IP, pattern=r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", alone=0.7, with_context=0.7, valid=_is_ip,
        raw=True,
    ),
    Recogniser(
        type=PiiType.IP, pattern=r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,7}\b", alone=0.7, with_context=0.7,
        valid=_is_ip, raw=True,
    ),
    Recogniser(
        type=PiiType.PASSPORT, pattern=r"\b(?:[A-Za-z]\d{8}|\d{9}|[A-Za-z0-9]{1,2}\d{7})\b", alone=0.2,
        with_context=0.8, words=_PASSPORT,
    ),
    Recogniser(type=PiiType.MRZ, pattern=r"\b[A-Z0-9<]{43}\d", alone=0.99, with_context=0.99, valid=check.is_mrz_line),
    Recogniser(
        type=PiiType.UK_NINO, pattern=r"\b[A-Za-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d]\b", alone=0.85, with_context=0.85,
        valid=check.is_nino,
    ),
    Recogniser(
        type=PiiType.UK_NHS, pattern=r"\b\d{3}[ -]\d{3}[ -]\d{4}\b", alone=0.9, with_context=0.9, valid=check.is_nhs
    ),
    Recogniser(
        type=PiiType.UK_NHS, pattern=r"\b\d{10}\b", alone=0.4, with_context=0.9, words=("nhs", "health"),
        valid=check.is_nhs,
    ),
    Recogniser(
        type=PiiType.DATE_OF_BIRTH, pattern=_DATE, alone=0, with_context=0.85, words=_BORN, valid=check.is_birth_date,
        raw=True,
    ),
    Recogniser(
        type=PiiType.BANK_ACCOUNT, pattern=r"\b\d{6,17}\b", alone=0.1, with_context=0.75, words=_ACCOUNT
    ),
    Recogniser(
        type=PiiType.SORT_CODE, pattern=r"\b\d{2}[- ]\d{2}[- ]\d{2}\b", alone=0.1, with_context=0.75,
        words=("sort code", "account", "acct"),
    ),
    Recogniser(
        type=PiiType.DE_TAX_ID, pattern=r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b", alone=0.4, with_context=0.9,
        words=("steuer", "tax", "idnr", "tin"), valid=check.is_de_tax_id,
    ),
    Recogniser(
        type=PiiType.FR_NIR, pattern=r"\b[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}\b", alone=0.4,
        with_context=0.9, words=("nir", "sécu", "secu", "insee", "social"), valid=check.is_fr_nir,
    ),
    Recogniser(
        type=PiiType.ES_DNI, pattern=r"\b\d{8}-?[A-Za-z]\b", alone=0.9, with_context=0.9, valid=check.is_es_dni
    ),
    Recogniser(
        type=PiiType.ES_NIE, pattern=r"\b[XYZxyz]-?\d{7}-?[A-Za-z]\b", alone=0.9, with_context=0.9,
        valid=check.is_es_nie,
    ),
    Recogniser(
        type=PiiType.IT_CF, pattern=r"\b[A-Za-z]{6}\d{2}[A-Za-z]\d{2}[A-Za-z]\d{3}[A-Za-z]\b", alone=0.9,
        with_context=0.9, valid=check.is_it_cf,
    ),
    Recogniser(
        type=PiiType.NL_BSN, pattern=r"\b\d{9}\b", alone=0.4, with_context=0.9, words=("bsn", "burgerservice"),
        valid=check.is_nl_bsn,
    ),
    Recogniser(
        type=PiiType.BE_NN, pattern=r"\b\d{2}\.?\d{2}\.?\d{2}-?\d{3}\.?\d{2}\b", alone=0.4, with_context=0.9,
        words=("rijksregister", "registre national", "national number", "nn"), valid=check.is_be_nn,
    ),
    Recogniser(
        type=PiiType.PT_NIF, pattern=r"\b\d{3} ?\d{3} ?\d{3}\b", alone=0.4, with_context=0.9,
        words=("nif", "contribuinte"), valid=check.is_pt_nif,
    ),
    Recogniser(
        type=PiiType.PL_PESEL, pattern=r"\b\d{11}\b", alone=0.4, with_context=0.9, words=("pesel",),
        valid=check.is_pl_pesel,
    ),
    Recogniser(
        type=PiiType.SE_PNR, pattern=r"\b(?:\d{2})?\d{6}[-+]\d{4}\b", alone=0.6, with_context=0.9,
        words=("personnummer", "pnr"), valid=check.is_se_pnr,
    ),
    Recogniser(
        type=PiiType.FI_HETU, pattern=r"\b\d{6}[-+A]\d{3}[0-9A-Y]\b", alone=0.6, with_context=0.9,
        words=("hetu", "henkilötunnus"), valid=check.is_fi_hetu, raw=True,
    ),
    Recogniser(
        type=PiiType.IE_PPSN, pattern=r"\b\d{7}[A-Wa-w][A-IWa-iw]?\b", alone=0.6, with_context=0.9,
        words=("pps", "ppsn"), valid=check.is_ie_ppsn,
    ),
    Recogniser(
        type=PiiType.SECRET, pattern=r"\bplt_sk_[0-9A-Za-z]{10}_[0-9A-Za-z_\-]{43}_[0-9A-Za-z]{6}\b", alone=0.95,
        with_context=0.95, valid=_is_pilotage_key, raw=True,
    ),
    Recogniser(
        type=PiiType.SECRET, pattern=r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", alone=0.95, with_context=0.95, raw=True
    ),
    Recogniser(
        type=PiiType.SECRET, pattern=r"\b(?:ghp|gho|ghs|ghu)_[0-9A-Za-z]{36}\b|\bsk-[0-9A-Za-z_\-]{32,}\b", alone=0.95,
        with_context=0.95, raw=True,
    ),
    Recogniser(
        type=PiiType.SECRET, pattern=r"\beyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]{16,}", alone=0.95,
        with_context=0.95, raw=True,
    ),
    Recogniser(
        type=PiiType.SECRET, pattern=r"(?i)\b(?:password|passwd|pwd|secret|api_?key)\s?[=:]\s?[^\s\"'<>{}]{6,128}",
        alone=0.95, with_context=0.95, raw=True,
    ),
    Recogniser(
        type=PiiType.SECRET,
        pattern=r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.{0,1000}",
        alone=0.95, with_context=0.95, raw=True,
    ),
)  # fmt: skip
"""In table order. Forms that need a region are used only where it is configured."""
