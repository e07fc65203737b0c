"""Public ids, keys and refund numbers."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import ids


@pytest.mark.parametrize(
    ("suffix", "uuid"),
    [
        # The vectors of the TypeID specification (spec/valid.json).
        ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
        ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
        ("0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
        ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
        ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
        ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
        ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
)
def test_ids_are_written_as_the_specification_says(suffix: str, uuid: str) -> None:
    assert ids.show("prefix", UUID(uuid)) == f"prefix_{suffix}"
    assert ids.read("prefix", f"prefix_{suffix}") == UUID(uuid)


@given(st.uuids())
def test_an_id_reads_back_as_itself(uuid: UUID) -> None:
    assert ids.read("case", ids.show("case", uuid)) == uuid


@given(st.text(max_size=40))
def test_nothing_else_is_read(text: str) -> None:
    uuid = ids.read("case", text)
    assert uuid is None or ids.show("case", uuid) == text


GOOD = "case_01h455vb4pex5vsknk084sn02q"


@pytest.mark.parametrize(
    "text",
    [
        GOOD.upper(),
        "case_01H455vb4pex5vsknk084sn02q",
        "case_81h455vb4pex5vsknk084sn02q",
        "case_01h455vb4pex5vsknk084sn02l",
        GOOD[:-1],
        f"{GOOD}0",
        f"{GOOD}\n",
        f" {GOOD}",
        GOOD.replace("_", "-"),
        GOOD.replace("case", "evt"),
        GOOD.replace("_", "__"),
        GOOD.replace("0", "０"),
        "case_",
        "",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ],
)
def test_near_misses_are_nothing(text: str) -> None:
    assert ids.read("case", GOOD) is not None
    assert ids.read("case", text) is None


def test_new_ids_are_uuid7_and_rise() -> None:
    made = [ids.new_uuid() for _ in range(200)]
    assert all(type(uuid) is UUID and uuid.version == 7 for uuid in made)
    assert [uuid.int >> 80 for uuid in made] == sorted(uuid.int >> 80 for uuid in made)
    assert len(set(made)) == 200


def test_refund_numbers_fit_the_strictest_channel() -> None:
    made = {ids.mint_refund_no() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"rf[0-9a-z]{26}", number) for number in made)


@pytest.mark.parametrize("mode", ["test", "live"])
def test_a_minted_key_says_its_mode_and_passes_its_checksum(mode: ids.Mode) -> None:
    key = ids.mint_key(mode)
    assert re.fullmatch(rf"kmr_{mode}_[0-9A-Za-z]{{38}}", key)
    assert ids.has_valid_checksum(key)
    assert ids.mode_of(key) == mode
    assert ids.mint_key(mode) != key


@given(st.integers(0, 46), st.sampled_from("0aZ_ é\n"))
def test_one_changed_character_breaks_the_checksum(position: int, letter: str) -> None:
    key = ids.mint_key("live")
    changed = key[:position] + letter + key[position + 1 :]
    assert ids.has_valid_checksum(changed) is (changed == key)


@given(st.text(max_size=60))
def test_no_text_breaks_the_look_at_a_key(text: str) -> None:
    assert ids.has_valid_checksum(text) is False
    assert ids.mode_of(text) in {None, "test", "live"}
    assert len(ids.key_hash(text)) == 32


def test_odd_keys_are_not_keys() -> None:
    key = ids.mint_key("test")
    assert not any(
        ids.has_valid_checksum(odd)
        for odd in ("kmr_live_" + "a" * 40, key.upper(), f"{key} ", f"{key}\n", key.replace("test", "live"), "")
    )
    assert ids.mode_of("KMR_TEST_x") is None
    assert ids.key_hash(key) != ids.key_hash(f"{key} ")
    assert ids.key_hash("\ud800") != ids.key_hash("\ud801")


def test_random_bytes_have_the_length_asked_for() -> None:
    assert [len(ids.random_bytes(count)) for count in (0, 12, 32)] == [0, 12, 32]
    assert ids.random_bytes(32) != ids.random_bytes(32)
