"""Salesforce Ids: published vectors, case repair, and the generator."""

import pytest
from dative_sandbox.salesforce.ids import IdFactory, checksum, to_id18
from hypothesis import given
from hypothesis import strategies as st

VECTORS = [
    ("0015f00002JUWMV", "AA5"),
    ("0GaHn000005s2T4", "KAI"),
    ("000000000000000", "AAA"),
]
ID15 = st.text("0123456789ABCXYZabcxyz", min_size=15, max_size=15)


@pytest.mark.parametrize(("id15", "suffix"), VECTORS)
def test_the_checksum_of_a_published_id_is_the_published_one(id15: str, suffix: str) -> None:
    assert checksum(id15) == suffix
    assert to_id18(id15) == id15 + suffix


@given(ID15)
def test_an_18_character_id_survives_any_change_of_case(id15: str) -> None:
    id18 = to_id18(id15)
    assert id18 is not None
    assert to_id18(id18.lower()) == to_id18(id18.upper()) == to_id18(id18) == id18


@pytest.mark.parametrize(
    "text", ["", "001", "0015f00002JUWM", "0015f00002JUWMV12", "0015f00002JUWM-", "0015f00002JUWMV999"]
)
def test_what_is_no_id_has_no_18_character_form(text: str) -> None:
    assert to_id18(text) is None


def test_new_ids_carry_their_prefix_differ_and_sort_in_the_order_they_were_made() -> None:
    factory = IdFactory()
    made = [factory.new("001") for _ in range(5000)]
    assert len(set(made)) == 5000
    assert made == sorted(made)
    assert all(len(one) == 18 and one.startswith("001") and one[15:] == checksum(one[:15]) for one in made)
