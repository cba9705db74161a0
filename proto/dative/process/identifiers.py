"""The 18 identifiers of HIPAA's Safe Harbor: what each is, which mask is recommended, and what their fields are called.

Used for suggestions in findings and to warn of a source field that looks like one and is not classified. A name is a
hint and no proof: nothing here classifies by itself. Source: 45 CFR 164.514(b)(2)(i)(A) to (R).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from dative.process.datatypes import DataType

IdentifierKind = Literal[
    "name", "geography", "date", "phone", "fax", "email", "ssn", "mrn", "health_plan", "account", "license", "vehicle",
    "device", "url", "ip", "biometric", "photo", "other",
]  # fmt: skip


@dataclass(frozen=True)
class Identifier:
    """letter: of the paragraph. masks: recommended, best first. names: of fields, split into words joined by _."""

    kind: IdentifierKind
    letter: str
    what: str
    masks: tuple[str, ...]
    why: str
    names: re.Pattern[str] | None = None

    @property
    def advice(self) -> str:
        """ "keep_last(2) or token"."""
        return " or ".join(self.masks)


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|_)(?:{pattern})(?:_|$)")


IDENTIFIERS: Final = (
    Identifier("name", "A", "Names", ("token", "drop"), "a token still joins records of one person",
               _named("(first|last|middle|given|family|maiden|full|patient|person|contact|member|birth)_?name|surname")),
    Identifier("geography", "B", "All geographic subdivisions smaller than a state: street, city, county, precinct, ZIP "
               "code", ("zip3", "drop"), "the first three digits of a ZIP code may stay where over 20,000 people live",
               _named("zip|zip_?code|postal_?code|post_?code|street|(?<!ip_)(?<!mail_)(?<!mac_)address(?!es)|city|county")),
    Identifier("date", "C", "All elements of dates except the year: birth, admission, discharge, death; ages over 89",
               ("date_shift(365, key => subject)", "year", "age"), "a shift by subject keeps the days between events; "
               "year and age put everybody of 90 and more into one group",
               _named("birth_?(date|day)|date_of_(birth|death)|dob|death_?date|(admission|admit|discharge)_?date")),
    Identifier("phone", "D", "Telephone numbers", ("keep_last(2)", "token"), "two digits help a person compare",
               _named("phone|telephone|mobile|cell_?phone|phone_?number|(home|work|mobile|other|assistant)_?phone")),
    Identifier("fax", "E", "Fax numbers", ("keep_last(2)", "token"), "as for telephone numbers", _named("fax")),
    Identifier("email", "F", "E-mail addresses", ("token", "hash"), "equal addresses stay equal",
               _named("e_?mail|mail_?address|[a-z]*email")),
    Identifier("ssn", "G", "Social security numbers", ("token", "drop"), "four digits of it are enough to find somebody",
               _named("ssn|social_?security(_?number)?|national_?id")),
    Identifier("mrn", "H", "Medical record numbers", ("token", "hash"), "the key of a patient: joins need it",
               _named("mrn|medical_?record(_?(number|no))?|patient_?(id|number|no)|chart_?number")),
    Identifier("health_plan", "I", "Health plan beneficiary numbers", ("token", "hash"), "as for record numbers",
               _named("(member|subscriber|beneficiary|insurance|policy|medicaid|medicare)_?(id|number|no)|health_?plan")),
    Identifier("account", "J", "Account numbers", ("keep_last(4)", "token"), "four digits help a person compare",
               _named("(bank_?)?account_?(number|no)|iban|(credit_?)?card_?number")),
    Identifier("license", "K", "Certificate and license numbers", ("token", "drop"), "public registers resolve them",
               _named("(driver_?s?_?)?licen[cs]e(_?(number|no|id))?|certificate_?(number|no)|passport(_?(number|no))?|npi")),
    Identifier("vehicle", "L", "Vehicle identifiers and serial numbers, license plates", ("token", "drop"),
               "public registers resolve them",
               _named("vin|(licen[cs]e|number)_?plate|plate(_?(number|no))?|vehicle_?(id|serial(_?number)?)")),
    Identifier("device", "M", "Device identifiers and serial numbers", ("token", "hash"), "equal devices stay equal",
               _named("device_?(id|serial|identifier|serial_?number)|serial_?(number|no)|imei|udi|mac_?address")),
    Identifier("url", "N", "Web addresses (URLs)", ("drop", "token"), "a path or query may name the person",
               _named("url|web_?site|home_?page|uri")),
    Identifier("ip", "O", "IP addresses", ("token", "drop"), "equal addresses stay equal",
               _named("ip|ipv[46]|ip_?address")),
    Identifier("biometric", "P", "Biometric identifiers, finger and voice prints", ("drop",), "nothing of one may stay",
               _named("biometrics?|finger_?prints?|voice_?prints?|retina|iris")),
    Identifier("photo", "Q", "Full-face photographs and comparable images", ("drop",), "nothing of one may stay",
               _named("photo(graph)?|portrait|face_?image|photo_?url")),
    Identifier("other", "R", "Any other unique identifying number, characteristic or code", ("token", "drop"),
               "a token is such a code only for who holds the key"),
)  # fmt: skip

BY_KIND: Final = {identifier.kind: identifier for identifier in IDENTIFIERS}

_ORDER: Final[tuple[IdentifierKind, ...]] = ("vehicle", "device", "ip", "email", "photo")
"""Looked at first: "license plate" is no license, "MAC address" no street, "photo URL" no web address."""
_SUFFIX: Final = re.compile(r"__p?c$|__pc$", re.IGNORECASE)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@lru_cache(maxsize=4096)
def looks_like(name: str, type_: DataType) -> Identifier | None:
    """The identifier that a field of this name probably holds. type_: what can not hold one is none."""
    if type_.kind in ("boolean", "json"):
        return None
    words = "_".join(word.lower() for word in _WORDS.findall(_SUFFIX.sub("", name.rpartition(".")[2])))
    first = [BY_KIND[kind] for kind in _ORDER]
    for identifier in (*first, *IDENTIFIERS):
        if identifier.names is not None and identifier.names.search(words) and _may_hold(identifier, type_):
            return identifier
    return None


def _may_hold(identifier: Identifier, type_: DataType) -> bool:
    if identifier.kind == "date":
        return type_.kind in ("any", "text", "date", "timestamp")
    return type_.kind not in ("date", "timestamp", "time")
