import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.catalogue import DESCRIPTIONS, HEARD_BY, EndpointRole, EventType
from app.outbound.envelope import MAX_BYTES, EnvelopeTooLarge, envelope, envelope_for

AT = datetime(2026, 3, 10, 12, 0, 0, 5000, tzinfo=timezone(timedelta(hours=8)))
THIN: dict[str, object] = {"id": "case_1"}
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def made(data: dict[str, object], at: datetime = AT) -> bytes:
    return envelope(event_id="evt_1", type=EventType.CASE_FILED, created_at=at, site="site_1", sequence=3, data=data)


def made_for(role: EndpointRole, full: dict[str, object], thin: dict[str, object]) -> dict[str, object]:
    body = envelope_for(
        role,
        event_id="evt_1",
        type=EventType.CASE_FILED,
        created_at=AT,
        site="site_1",
        sequence=3,
        full=full,
        thin=thin,
    )
    return dict(json.loads(body)["data"])


def test_the_body_is_compact_utf_8_with_the_six_fields_in_order() -> None:
    assert (
        made({"b": "退款", "a": [1, None]})
        == (
            '{"id":"evt_1","type":"case.filed","created_at":"2026-03-10T04:00:00.005000Z","site":"site_1","sequence":3,'
            '"data":{"a":[1,null],"b":"退款"}}'
        ).encode()
    )


@given(data=st.dictionaries(texts, json_values, max_size=5))
def test_the_order_of_keys_and_the_offset_of_the_time_do_not_change_a_byte(data: dict[str, object]) -> None:
    backwards = dict(reversed(data.items()))
    assert made(data) == made(backwards, AT.astimezone(UTC))
    assert json.loads(made(data))["data"] == data


def padded(size: int) -> dict[str, object]:
    return {"text": "x" * (size - len(made({"text": ""})))}


def test_20_kb_fit_and_one_byte_more_does_not() -> None:
    assert MAX_BYTES == 20_000
    assert len(made(padded(MAX_BYTES))) == MAX_BYTES
    with pytest.raises(EnvelopeTooLarge, match="20001 bytes"):
        made(padded(MAX_BYTES + 1))


def test_bytes_are_counted_and_not_characters() -> None:
    with pytest.raises(EnvelopeTooLarge):
        made({"text": "退" * 7_000})


def test_the_site_hears_the_whole_object_if_it_fits() -> None:
    assert made_for(EndpointRole.SITE, {"id": "case_1", "amount": 1}, THIN) == {"id": "case_1", "amount": 1}
    assert made_for(EndpointRole.SITE, padded(MAX_BYTES + 1), THIN) == THIN


@pytest.mark.parametrize("role", [EndpointRole.MERCHANT, EndpointRole.CHANNEL])
def test_merchants_and_channels_hear_the_thin_object_however_small_the_whole_is(role: EndpointRole) -> None:
    assert made_for(role, {"id": "case_1", "amount": 1}, THIN) == THIN


def test_a_thin_object_that_does_not_fit_is_a_fault() -> None:
    with pytest.raises(EnvelopeTooLarge):
        made_for(EndpointRole.SITE, padded(MAX_BYTES + 1), padded(MAX_BYTES + 1))


def test_no_naive_time_and_no_nan_leaves_the_house() -> None:
    with pytest.raises(ValueError, match="offset"):
        made({}, AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="JSON compliant"):
        made({"ratio": float("nan")})


def test_the_site_hears_everything_the_channel_only_instructions_and_merchants_their_cases() -> None:
    assert HEARD_BY[EndpointRole.SITE] == set(EventType)
    assert HEARD_BY[EndpointRole.CHANNEL] == {EventType.REFUND_REQUESTED, EventType.ENDPOINT_TEST}
    assert {str(kind) for kind in HEARD_BY[EndpointRole.MERCHANT]} == {
        "case.filed", "case.merchant_turn", "case.approved", "case.rejected", "case.lapsed", "case.withdrawn",
        "case.deadline_approaching", "case.deadline_missed", "merchant.deposit_deducted", "endpoint.test",
    }  # fmt: skip
    assert set(HEARD_BY) == set(EndpointRole)


def test_every_event_type_is_described_once_in_each_language() -> None:
    assert set(DESCRIPTIONS) == set(EventType)
    assert len(EventType) == 22
    assert len({text.en for text in DESCRIPTIONS.values()} | {text.zh for text in DESCRIPTIONS.values()}) == 44
    assert all(text.en.isascii() and not text.zh.isascii() for text in DESCRIPTIONS.values())
