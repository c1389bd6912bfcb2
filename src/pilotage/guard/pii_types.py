"""Types of structured personal data and secrets, in table order (serving.md 5.3), and one match of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PiiType(StrEnum):
    """What was recognised. The order breaks ties between overlapping matches."""

    US_SSN = "US_SSN"
    US_ITIN = "US_ITIN"
    CREDIT_CARD = "CREDIT_CARD"
    IBAN = "IBAN"
    US_ABA = "US_ABA"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    IP = "IP"
    PASSPORT = "PASSPORT"
    MRZ = "MRZ"
    UK_NINO = "UK_NINO"
    UK_NHS = "UK_NHS"
    DATE_OF_BIRTH = "DATE_OF_BIRTH"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    SORT_CODE = "SORT_CODE"
    DE_TAX_ID = "DE_TAX_ID"
    FR_NIR = "FR_NIR"
    ES_DNI = "ES_DNI"
    ES_NIE = "ES_NIE"
    IT_CF = "IT_CF"
    NL_BSN = "NL_BSN"
    BE_NN = "BE_NN"
    PT_NIF = "PT_NIF"
    PL_PESEL = "PL_PESEL"
    SE_PNR = "SE_PNR"
    FI_HETU = "FI_HETU"
    IE_PPSN = "IE_PPSN"
    SECRET = "SECRET"  # noqa: S105 - a type's name


TABLE_ORDER = {kind: number for number, kind in enumerate(PiiType)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One recognised value: code-point offsets, score in [0, 1], and the value without separators, upper case."""

    type: PiiType
    start: int
    end: int
    score: float
    normalised: str
