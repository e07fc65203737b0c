"""A filed case reaches its adapters over real HTTP, and verifies with the published library."""

import os
import queue
import signal
import subprocess
from typing import Any

import httpx
import pytest

from tests.api import bodies
from tests.end_to_end.receiver import Adapter, Arrival, adapter
from tests.live import Live, process


def call(live: Live, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = httpx.request(
        method,
        f"{live.url}{path}",
        json=body,
        headers={"Authorization": f"Bearer {live.key}", **headers},
        trust_env=False,
        timeout=90,
    )
    assert answer.status_code < 300, answer.text
    document: dict[str, Any] = answer.json() if answer.content else {}
    return document


def register(live: Live, receiver: Adapter, path: str, **body: Any) -> dict[str, Any]:
    endpoint = call(live, "POST", "/v1/webhook-endpoints", {"url": f"{receiver.url}{path}", **body})
    receiver.secrets[path] = endpoint["secret"]
    return endpoint


def file(live: Live, order_no: str = "E-1") -> dict[str, Any]:
    return call(live, "POST", "/v1/cases", bodies.filing(order_no), **{"Idempotency-Key": f"file-{order_no}"})


def gathered(receiver: Adapter, count: int) -> list[Arrival]:
    return [receiver.next() for _ in range(count)]


async def test_two_adapters_get_their_webhooks_and_verify_them(live: Live) -> None:
    with adapter() as merchant, adapter() as channel:
        register(live, merchant, "/merchant", role="merchant", merchant_id="m-7")
        register(live, channel, "/channel", role="channel")
        case = file(live)
        told = gathered(merchant, 3)
        [instruction] = gathered(channel, 1)
        with pytest.raises(queue.Empty):
            merchant.arrivals.get_nowait()
    documents = [arrival.document for arrival in told if arrival.document is not None]
    assert len(documents) == 3, "every signature verifies"
    assert [document["type"] for document in documents] == ["case.filed", "case.approved", "merchant.deposit_deducted"]
    assert [document["sequence"] for document in documents] == [1, 2, 4]
    *of_the_case, deducted = [document["data"] for document in documents]
    assert [each["id"] for each in of_the_case] == [deducted["case_id"]] * 2 == [case["id"]] * 2
    assert (deducted["deducted"], deducted["merchant_id"]) == (20000, "m-7")
    assert instruction.document is not None
    assert instruction.document["type"] == "refund.requested"
    assert instruction.document["data"]["refund_no"] == case["refunds"][0]["refund_no"]
    assert instruction.document["data"]["amount"] == 20000


async def test_the_site_hears_everything_with_the_case_whole(live: Live) -> None:
    with adapter() as receiver:
        register(live, receiver, "/site", role="site")
        case = file(live)
        documents = [arrival.document for arrival in gathered(receiver, 4)]
    assert [document["type"] for document in documents if document] == [
        "case.filed",
        "case.approved",
        "refund.requested",
        "merchant.deposit_deducted",
    ]
    assert documents[0] is not None
    assert documents[0]["data"]["decision"]["receipt"] == case["decision"]["receipt"]


async def test_what_is_not_taken_is_sent_again_under_the_same_id_with_the_same_bytes(live: Live) -> None:
    # The second attempt is due after five seconds: the one wait in these tests that is the service's own.
    with adapter(lambda count: 500 if count == 1 else 204) as receiver:
        register(live, receiver, "/site", role="site", event_types=["case.filed"])
        file(live)
        first, second = gathered(receiver, 2)
    assert first.webhook_id == second.webhook_id
    assert first.body == second.body
    assert first.document is not None
    assert second.document is not None


async def test_a_worker_that_is_killed_loses_nothing(live: Live) -> None:
    with adapter() as receiver:
        register(live, receiver, "/site", role="site", event_types=["case.filed"])
        for child in _children_running("app.worker", live):
            os.kill(child, signal.SIGKILL)
        case = file(live)
        with pytest.raises(queue.Empty):
            receiver.arrivals.get_nowait()
        with process("app.worker", live.environ):
            [arrival] = gathered(receiver, 1)
    assert arrival.document is not None
    assert arrival.document["data"]["id"] == case["id"]


def _children_running(module: str, live: Live) -> list[int]:
    """The worker that belongs to this service: it carries this service's database in its environment."""
    found = subprocess.run(["pgrep", "-f", module], capture_output=True, text=True, check=False).stdout.split()
    marker = f"DATABASE_URL={live.environ['DATABASE_URL']}".encode()
    return [int(pid) for pid in found if marker in _environment_of(int(pid))]


def _environment_of(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:  # noqa: PTH123 - a file of the kernel's
            return environ.read().split(b"\0")
    except OSError:
        return []
