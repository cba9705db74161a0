"""No text, however broken, makes the loader raise, hang or blow up; and real files load fast."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dative.process.cases import load_test
from dative.process.load import canonical_process, check, load
from dative.process.model import Process
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLE = (Path(__file__).parents[2] / "examples" / "account-to-erp" / "process.yaml").read_bytes()
TOKENS = [
    b"", b"\n", b" ", b"\t", b":", b": ", b"- ", b"{", b"}", b"[", b"]", b",", b"'", b'"', b"&a ", b"*a", b"!!x ", b"|", b">",
    b"#", b"%", b"---\n", b"...\n", b"? ", b"<<: ", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"null", b"9" * 30,
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 12), st.sampled_from(TOKENS) | st.binary(max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_no_mutation_of_a_process_makes_the_validator_raise(edits: list[tuple[int, int, bytes]]) -> None:
    text = EXAMPLE
    for at, length, new in edits:
        text = text[:at] + new + text[at + length :]
    checked = check(text, filename="p.yaml")
    lines = text.count(b"\n") + 1
    for finding in checked.findings:
        assert 1 <= finding.line <= lines + 1
        assert finding.column >= 1
        assert finding.next
        assert "\n" not in str(finding)
    if checked.process is None:
        assert any(finding.severity == "error" for finding in checked.findings)
    else:
        assert Process.model_validate_json(canonical_process(checked.process)) == checked.process


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_no_bytes_make_the_loaders_raise(text: str | bytes) -> None:
    assert check(text, filename="p.yaml").process is None
    assert load_test(text, filename="t.yaml").test is None


BOMBS = {
    "brackets": b"[" * 500_000,
    "brackets after each other": b"[] " * 300_000,
    "braces with spaces": b"{ " * 500_000,
    "question marks": b"? " * 200_000,
    "dashes": b"- " * 400_000,
    "quotes": b"'" * 900_001,
    "percent signs": b"%" * 900_000,
    "spaces": b"a:" + b" " * 1_000_000,
    "newlines": b"\n" * 1_000_000,
    "a long key": b"k" * 1_000_000 + b": 1",
    "a long plain text": b"a: " + b"x " * 500_000,
    "a long block": b"a: |\n" + b"  x\n" * 250_000,
    "many keys": b"".join(b"k%d: 1\n" % number for number in range(70_000)),
    "many duplicate keys": b"k: 1\n" * 150_000,
    "many comments": b"# x\n" * 250_000,
    "many documents": b"---\n" * 200_000,
    "aliases": b"a: &a [" + b"*a, " * 200_000,
    "unknown keys of one process": b"apiVersion: dative/v1\nkind: Process\n"
    + b"".join(b"k%d: 1\n" % n for n in range(40_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_a_megabyte_is_refused_in_a_few_seconds(name: str) -> None:
    began = time.process_time()
    checked = check(BOMBS[name], filename="p.yaml")
    # Generous: the slowest takes 3 s of CPU here; what this guards against takes minutes.
    assert time.process_time() - began < 20
    assert checked.process is None
    assert checked.findings


def long_process(steps: int) -> str:
    head = EXAMPLE.decode().split("  steps:\n")[0]
    maps = "".join(
        f"    - id: map-{number}\n      map:\n        keep: rest\n        fields:\n"
        + "".join(f"          field_{number}_{line}: concat_ws(' ', Id, Name, upper(Industry))\n" for line in range(5))
        for number in range(steps)
    )
    return head + "  steps:\n" + maps


def test_a_file_of_two_thousand_lines_is_checked_in_seconds() -> None:
    text = long_process(220)
    assert text.count("\n") > 2000
    began = time.process_time()
    loaded = load(text, filename="p.yaml")
    loading = time.process_time() - began
    assert loaded.process is not None
    assert check(text, filename="p.yaml").process is not None
    assert loading < 5  # 0.14 s here
    assert time.process_time() - began < 20  # 0.5 s here
