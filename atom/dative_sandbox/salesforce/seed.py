"""Fills an org with records: the same number and the same seed give the same records, and the facts about them.

Among the customers are a few bad ones, at fixed places for a seed: dates and numbers that can not be read, in text fields
as people type them, and currencies that no rate table knows. They are what a bad-record path is tried with.
"""

import random
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from dative_sandbox.salesforce.clock import stamp
from dative_sandbox.salesforce.org import Org
from dative_sandbox.salesforce.schema import Row

UNREADABLE_DATES = ("13/45/2020", "soon", "02/30/2021", "n/a", "2020-31-12", "00/00/0000")
UNREADABLE_NUMBERS = ("twelve thousand", "12.500,00", "9 000 EUR", "unlimited")
UNKNOWN_CURRENCY, UNKNOWN_CURRENCY_COUNT = "XTS", 5
BAD_COUNT = len(UNREADABLE_DATES) + len(UNREADABLE_NUMBERS) + UNKNOWN_CURRENCY_COUNT
HEALTHCARE_SHARE = 0.12
HISTORY_DAYS = 180

_INDUSTRIES = ("Banking", "Energy", "Retail", "Technology")
_CURRENCIES = ("EUR", "EUR", "USD", "USD", "GBP", "CHF", "JPY", "SEK")
_FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatou", "Grace", "Hiro", "Inês", "Jürgen", "Kofi", "Łukasz")
_LAST = (
    "Andersson",
    "Bauer",
    "Costa",
    "Dubois",
    "Evans",
    "Fischer",
    "García",
    "Hansen",
    "Ito",
    "Jansen",
    "Kovács",
    "O'Neil",
)
_KINDS = ("Clinic", "Works", "Partners", "Supply", "Systems", "Foods", "Lines", "Studio")
_CITIES = (("Paris", "75001", "France"), ("Berlin", "10115", "Germany"), ("Boston", "02108", "United States"))


@dataclass(frozen=True)
class Expected:
    """What a test or a demonstration may assert about a seeded org. Ids in the order of creation."""

    accounts: int
    customers: int
    others: int
    healthcare_customers: int
    unreadable_date_ids: tuple[str, ...]
    unreadable_number_ids: tuple[str, ...]
    unknown_currency_ids: tuple[str, ...]
    contacts: int
    opportunities: int

    @property
    def bad_ids(self) -> frozenset[str]:
        return frozenset(self.unreadable_date_ids + self.unreadable_number_ids + self.unknown_currency_ids)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"bad_ids": sorted(self.bad_ids)}


def seed_org(org: Org, customers: int, seed: int = 1) -> Expected:
    """Add `customers` Accounts of Type Customer, 3 % of other types, and some contacts and opportunities.

    The bad records are there from BAD_COUNT customers on; a smaller org has none. Every stamp lies before the clock's now.
    """
    with org.lock:
        rng = random.Random(f"dative-sandbox/{seed}/{customers}")
        moments = _moments(org, rng, max(1, customers // 4))
        others = customers * 3 // 100
        rows = [_account(org, rng, moments, number, number >= customers) for number in range(customers + others)]
        bad = _spoil(rows[:customers], rng) if customers >= BAD_COUNT else ([], [], [])
        for row in rows:
            org.put("Account", row)
        contacts = [_contact(org, rng, row) for row in rows[: customers // 10]]
        opportunities = [_opportunity(org, rng, row) for row in rows[: customers // 20]]
        return Expected(
            accounts=len(rows),
            customers=customers,
            others=others,
            healthcare_customers=sum(row["Industry"] == "Healthcare" for row in rows[:customers]),
            unreadable_date_ids=tuple(bad[0]),
            unreadable_number_ids=tuple(bad[1]),
            unknown_currency_ids=tuple(bad[2]),
            contacts=len(contacts),
            opportunities=len(opportunities),
        )


def _moments(org: Org, rng: random.Random, count: int) -> list[str]:
    """Stamps over the months before now; fewer than there are records, so that ties in one second are normal."""
    now = org.clock.now()
    seconds = HISTORY_DAYS * 86_400
    return sorted(stamp(now - timedelta(seconds=rng.randrange(60, seconds))) for _ in range(count))


def _account(org: Org, rng: random.Random, moments: list[str], number: int, other: bool) -> Row:
    created, modified = sorted((rng.choice(moments), rng.choice(moments)))
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    healthcare = rng.random() < HEALTHCARE_SHARE
    city, postal_code, country = rng.choice(_CITIES)
    since = date(2005, 1, 1) + timedelta(days=rng.randrange(7000))
    user = org.main_user.id
    return org.complete(
        "Account",
        {
            "Name": f"{last} {rng.choice(_KINDS)} {number + 1:05d}",
            "Type": "Customer" if not other else "Prospect" if number % 3 else "Partner",
            "Industry": "Healthcare" if healthcare else rng.choice(_INDUSTRIES),
            "AnnualRevenue": None if rng.random() < 0.03 else float(rng.randrange(10_000, 5_000_000)),
            "CurrencyIsoCode": rng.choice(_CURRENCIES),
            "FirstName": first,
            "LastName": last,
            "Phone": f"+33 1 {rng.randrange(10_000_000, 99_999_999)}",
            "NumberOfEmployees": rng.randrange(1, 5000),
            "BillingStreet": f"{rng.randrange(1, 200)} Main Street",
            "BillingCity": city,
            "BillingPostalCode": postal_code,
            "BillingCountry": country,
            "Customer_Since__c": None if rng.random() < 0.01 else since.strftime("%m/%d/%Y"),
            "Credit_Limit__c": None if rng.random() < 0.01 else f"{rng.randrange(1, 400) * 250}.00",
            "Region_Code__c": f"R{number % 40:02d}",
            "Interests__c": ";".join(sorted(rng.sample(("Bulk", "Cloud", "Support", "Training"), rng.randrange(3))))
            or None,
            "Tier__c": rng.choice(("Gold", "Silver", "Bronze", None)),
            "CreatedDate": created,
            "LastModifiedDate": modified,
            "SystemModstamp": modified,
        },
        user,
    )


def _spoil(rows: list[Row], rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    """Make the bad records out of distinct good ones. Returns their ids: dates, numbers, currencies."""
    chosen = rng.sample(range(len(rows)), BAD_COUNT)
    dates, numbers = chosen[: len(UNREADABLE_DATES)], chosen[len(UNREADABLE_DATES) : -UNKNOWN_CURRENCY_COUNT]
    currencies = chosen[-UNKNOWN_CURRENCY_COUNT:]
    for index, value in zip(dates, UNREADABLE_DATES, strict=True):
        rows[index]["Customer_Since__c"] = value
    for index, value in zip(numbers, UNREADABLE_NUMBERS, strict=True):
        rows[index]["Credit_Limit__c"] = value
    for index in currencies:
        # Without an amount there would be nothing to convert, and so nothing wrong.
        rows[index] |= {"CurrencyIsoCode": UNKNOWN_CURRENCY, "AnnualRevenue": 250_000.0, "Is_Large__c": False}
    found = [sorted(rows[index]["Id"] for index in group) for group in (dates, numbers, currencies)]
    return found[0], found[1], found[2]


def _contact(org: Org, rng: random.Random, account: Row) -> Row:
    fields = {
        "FirstName": account["FirstName"],
        "LastName": account["LastName"],
        "Email": f"contact{account['Id'][10:15].lower()}@example.com",
        "AccountId": account["Id"],
    }
    row = org.complete("Contact", fields | {"Phone": f"+33 6 {rng.randrange(10**7, 10**8)}"}, org.main_user.id)
    org.put("Contact", row)
    return row


def _opportunity(org: Org, rng: random.Random, account: Row) -> Row:
    fields = {
        "Name": f"Renewal {account['Name']}",
        "StageName": rng.choice(("Prospecting", "Negotiation", "Closed Won")),
        "CloseDate": (org.clock.now().date() + timedelta(days=rng.randrange(-90, 90))).isoformat(),
        "Amount": float(rng.randrange(100, 9000) * 10),
        "AccountId": account["Id"],
    }
    row = org.complete("Opportunity", fields, org.main_user.id)
    org.put("Opportunity", row)
    return row
