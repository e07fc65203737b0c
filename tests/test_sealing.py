"""Sealed values open for the site, column and key that they were sealed for, and for nothing else."""

from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.sealing import SealBroken, Sealer

KEYS = st.binary(min_size=32, max_size=32)
COLUMNS = st.text(max_size=30)
SITE = UUID(int=7)


@given(KEYS, st.binary(max_size=300), st.uuids(), COLUMNS)
def test_what_was_sealed_opens_unchanged(key: bytes, plain: bytes, site: UUID, column: str) -> None:
    sealed = Sealer(key).seal(plain, site=site, column=column)
    assert Sealer(key).open(sealed, site=site, column=column) == plain
    assert len(sealed) == len(plain) + 36


@given(st.binary(min_size=8, max_size=60), st.data())
def test_any_flipped_bit_is_found(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Sealer(bytes(32)).seal(plain, site=SITE, column="secret"))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealBroken):
        Sealer(bytes(32)).open(bytes(sealed), site=SITE, column="secret")


@given(st.uuids(), st.uuids(), COLUMNS)
def test_a_value_does_not_open_at_another_site(site: UUID, other: UUID, column: str) -> None:
    assume(site != other)
    sealer = Sealer(bytes(32))
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"x", site=site, column=column), site=other, column=column)


@given(st.uuids(), COLUMNS, COLUMNS)
def test_a_value_does_not_open_in_another_column(site: UUID, column: str, other: str) -> None:
    assume(column != other)
    sealer = Sealer(bytes(32))
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"x", site=site, column=column), site=site, column=other)


@given(KEYS, KEYS)
def test_another_key_does_not_open(key: bytes, other: bytes) -> None:
    assume(key != other)
    with pytest.raises(SealBroken):
        Sealer(other).open(Sealer(key).seal(b"x", site=SITE, column="c"), site=SITE, column="c")


@given(st.binary(max_size=80))
def test_odd_bytes_are_a_broken_seal(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealer(bytes(32)).open(sealed, site=SITE, column="c")


def test_no_two_seals_are_alike_and_none_shows_the_secret() -> None:
    sealer = Sealer(bytes(32))
    seals = {sealer.seal(b"whsec_plain", site=SITE, column="c") for _ in range(50)}
    assert len(seals) == 50
    assert not any(b"whsec" in sealed for sealed in seals)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(length))
