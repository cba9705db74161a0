"""A process survives the way into a bundle and out again."""

from __future__ import annotations

import pytest
from dative.process.load import canonical_process, load
from dative.process.model import Process
from dative.process.scalars import format_duration, parse_duration, parse_mask
from pydantic import ValidationError


def test_a_process_read_back_from_its_canonical_bytes_is_the_same(example: str) -> None:
    loaded = load(example, filename="process.yaml")
    assert loaded.findings == []
    assert loaded.process is not None
    blob = canonical_process(loaded.process)
    again = Process.model_validate_json(blob)
    assert again == loaded.process
    assert canonical_process(again) == blob
    assert not any(isinstance(value, float) for value in _leaves(loaded.process.model_dump(mode="json")))


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def test_a_bundle_can_not_carry_two_steps_of_one_id(example: str) -> None:
    process = load(example, filename="process.yaml").process
    assert process is not None
    blob = canonical_process(process).replace(b'"id":"mask-person"', b'"id":"upsert"')
    with pytest.raises(ValidationError, match="two steps have the same id"):
        Process.model_validate_json(blob)


def test_every_step_knows_its_place(example: str) -> None:
    process = load(example, filename="process.yaml").process
    assert process is not None
    places = {step.id: path for step, path in process.steps()}
    assert places["read"] == ("spec", "source")
    assert places["mask-person"] == ("spec", "steps", 0, "try", 1, "then", 0)
    assert places["upsert"] == ("spec", "steps", 0, "try", 2)
    assert places["park"] == ("spec", "steps", 0, "catch", 0)
    assert process.step("upsert").verb == "database.upsert"


@pytest.mark.parametrize("text", ["1ms", "500ms", "2s", "5m", "12h", "30d", "90s", "0ms"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-1s", "1.5s", "9999999d", "5M", None, 5])
def test_a_text_that_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["keep_last", "keep_last()", "keep_last(-1)", "keep_last(65)", "date_shift(0)", "hush"]
)
def test_a_text_that_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"mask|takes a number"):
        parse_mask(text)
