"""Check digits of identifiers. Each function takes the bare value (no separators, upper case) and names its source."""

from __future__ import annotations

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26,
    "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25,
    "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26,
}  # fmt: skip


def is_card(digits: str) -> bool:
    """Luhn (ISO/IEC 7812-1), not all digits equal; no prefix filter."""
    return len(set(digits)) > 1 and luhn(digits)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(value: str) -> bool:
    """ISO 13616: mod 97 = 1, and the length of the country where it is known."""
    length = _IBAN_LENGTHS.get(value[:2])
    if (length is not None and len(value) != length) or not 15 <= len(value) <= 34:
        return False
    moved = value[4:] + value[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """US Social Security Administration: area, group and serial that may exist."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def is_itin(digits: str) -> bool:
    """US Internal Revenue Service: 9xx with groups 50-65, 70-88, 90-92, 94-99."""
    group = int(digits[3:5])
    return digits[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99)


def is_aba(digits: str) -> bool:
    """American Bankers Association routing number: weights 3-7-1, first two digits 00-12, 21-32, 61-72, 80."""
    head = int(digits[:2])
    fits = head <= 12 or 21 <= head <= 32 or 61 <= head <= 72 or head == 80
    return fits and sum(int(d) * w for d, w in zip(digits, (3, 7, 1) * 3, strict=True)) % 10 == 0


def is_nino(value: str) -> bool:
    """HM Revenue and Customs: letters and pairs that are not allocated."""
    return (
        value[0] not in "DFIQUV"
        and value[1] not in "DFIQUVO"
        and value[:2] not in {"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"}
    )


def is_nhs(digits: str) -> bool:
    """NHS Data Dictionary: weights 10..2, mod 11."""
    check = 11 - sum(int(d) * w for d, w in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check != 10 and check % 11 == int(digits[9])


def is_de_tax_id(digits: str) -> bool:
    """Bundeszentralamt fuer Steuern: ISO 7064 mod 11,10; no leading zero; one digit repeated among the first ten."""
    product = 10
    for char in digits[:10]:
        total = (int(char) + product) % 10 or 10
        product = total * 2 % 11
    return digits[0] != "0" and len(set(digits[:10])) < 10 and (11 - product) % 10 == int(digits[10])


def is_fr_nir(value: str) -> bool:
    """INSEE: 97 - number mod 97, Corsica 2A = 19 and 2B = 18."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and value[13:].isdigit() and 97 - int(number) % 97 == int(value[13:])


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_es_dni(value: str) -> bool:
    """Spanish Ministry of the Interior: letter mod 23."""
    return _DNI[int(value[:8]) % 23] == value[8]


def is_es_nie(value: str) -> bool:
    """As the DNI, with X, Y, Z read as 0, 1, 2."""
    return _DNI[int(str("XYZ".index(value[0])) + value[1:8]) % 23] == value[8]


_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def is_it_cf(value: str) -> bool:
    """Agenzia delle Entrate: odd and even tables, mod 26."""
    total = 0
    for place, char in enumerate(value[:15]):
        even = int(char) if char.isdigit() else ord(char) - 65
        total += even if place % 2 else _CF_ODD[char]
    return chr(65 + total % 26) == value[15]


def is_nl_bsn(digits: str) -> bool:
    """Rijksdienst voor Identiteitsgegevens: the 11-test."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(int(d) * w for d, w in zip(digits, weights, strict=True))
    return total % 11 == 0 and digits != "0" * 9


def is_be_nn(digits: str) -> bool:
    """Belgian national register: 97 - number mod 97, with a leading 2 for births from 2000 on."""
    number, check = digits[:9], int(digits[9:])
    return check in {97 - int(number) % 97, 97 - int("2" + number) % 97}


def is_pt_nif(digits: str) -> bool:
    """Autoridade Tributaria: weights 9..2, mod 11."""
    rest = sum(int(d) * w for d, w in zip(digits, range(9, 1, -1), strict=False)) % 11
    return digits[0] in "12356789" and int(digits[8]) == (0 if rest < 2 else 11 - rest)


def is_pl_pesel(digits: str) -> bool:
    """Polish Ministry of Digital Affairs: weights 1 3 7 9."""
    total = sum(int(d) * w for d, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=False))
    return (10 - total % 10) % 10 == int(digits[10])


def is_se_pnr(digits: str) -> bool:
    """Skatteverket: Luhn over the ten-digit form, with a possible date."""
    ten = digits[-10:]
    return luhn(ten) and 1 <= int(ten[2:4]) <= 12 and 1 <= int(ten[4:6]) % 60 <= 31


_HETU = "0123456789ABCDEFHJKLMNPRSTUVWXY"


def is_fi_hetu(value: str) -> bool:
    """Digital and Population Data Services Agency: mod 31 of date and number."""
    return _HETU[int(value[:6] + value[7:10]) % 31] == value[10]


def is_ie_ppsn(value: str) -> bool:
    """Irish Department of Social Protection: weights 8..2 and 9 for the second letter, mod 23."""
    total = sum(int(d) * w for d, w in zip(value[:7], range(8, 1, -1), strict=False))
    if len(value) == 9 and value[8] != "W":
        total += (ord(value[8]) - 64) * 9
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == value[7]


def mrz_check(field: str) -> int:
    """ICAO 9303-3: weights 7-3-1 over 0-9, A-Z as 10-35, `<` as 0."""
    values = (0 if char == "<" else int(char, 36) for char in field)
    return sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10


def is_mrz_line(line: str) -> bool:
    """Second line of a passport (TD3): number, birth, expiry and composite check digits."""
    if len(line) != 44 or not (line[9] + line[19] + line[27] + line[43]).isdigit():
        return False
    composite = line[:10] + line[13:20] + line[21:43]
    fields = ((line[:9], line[9]), (line[13:19], line[19]), (line[21:27], line[27]), (composite, line[43]))
    return all(mrz_check(field) == int(check) for field, check in fields)


def is_birth_date(text: str) -> bool:
    """Tell whether the date exists in some order of its parts."""
    parts = [int(part) for part in text.replace("/", "-").replace(".", "-").split("-") if part.isdigit()]
    if len(parts) != 3:
        return True  # written with a month's name
    year = next((part for part in parts if part > 31), parts[2])
    rest = [part for part in parts if part != year] or parts[:2]
    return max(rest) <= 31 and min(rest) <= 12
