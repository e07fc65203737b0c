"""The client of channels, against gateways that are kind, broken, slow, greedy or hostile; all of them on loopback."""

import asyncio
import gzip
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from app.outbound.channels.client import ChannelClient
from app.outbound.channels.exchange import Exchange, Request, Unanswered
from app.outbound.channels.exchange import Reply as Answer
from app.outbound.channels.said import Told, Unclear
from app.outbound.channels.wechat_pay import WechatPay
from app.outbound.sender import tls_context
from app.rules.settlement import RefundState
from tests.channels.serving import served
from tests.channels.wechat_pay_faults import Fault
from tests.channels.wechat_pay_scene import PAYMENT, our_credentials, scene
from tests.outbound.receivers import (
    OK,
    PUBLIC,
    Everywhere,
    Names,
    Receiver,
    Recorded,
    Reply,
    receiver,
    says,
    self_signed,
    unused_port,
)

TLS = tls_context()
SHORT = timedelta(milliseconds=200)
NOBODY = Names({})


async def sent(
    url: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, body: bytes = b"{}"
) -> Answer:
    async with ChannelClient(NOBODY, tls=TLS, allow_loopback=True) as client:
        return await client.send(Request(method, url, headers or {}, body))


def posted(url: str) -> Request:
    return Request("POST", url, {}, b"{}")


async def replied(*parts: bytes) -> Answer:
    async with receiver(says(*parts)) as heard:
        return await sent(heard.url)


async def unanswered(url: str, **settings: object) -> str:
    names = settings.pop("names", NOBODY)
    async with ChannelClient(names, tls=TLS, **settings) as client:  # type: ignore[arg-type]
        with pytest.raises(Unanswered) as silence:
            await client.send(posted(url))
    return silence.value.reason


async def broken(reply: Reply, **settings: object) -> str:
    async with receiver(reply) as heard:
        return await unanswered(heard.url, allow_loopback=True, **settings)


def asked(heard: Receiver) -> tuple[str, dict[str, str], bytes]:
    head, _, body = heard.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


async def test_it_is_an_exchange() -> None:
    async with ChannelClient(NOBODY, tls=TLS) as client:
        exchange: Exchange = client
        assert exchange is client


async def test_a_post_goes_out_byte_for_byte() -> None:
    body = '{"reason":"退款"}'.encode()
    async with receiver(OK) as heard:
        answer = await sent(heard.url + "?a=%2F&b=+", method="POST", headers={"Authorization": "x y"}, body=body)
    first, headers, arrived = asked(heard)
    assert (answer.status, answer.body) == (200, b"ok")
    assert (first, arrived) == ("POST /hooks?a=%2F&b=+ HTTP/1.1", body)
    assert headers == {
        "Host": f"127.0.0.1:{heard.port}",
        "User-Agent": "kmr-channels/1",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Authorization": "x y",
        "Content-Length": str(len(body)),
    }


class Recording:
    """A gateway that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def send(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer(200, {}, b"ok")


async def test_a_get_has_no_body_and_its_own_headers_win() -> None:
    gateway = Recording()
    async with served(gateway) as base_url:
        answer = await sent(f"{base_url}/a?b=c", method="GET", headers={"accept": "application/json"}, body=b"")
    (heard,) = gateway.asked
    assert answer.body == b"ok"
    assert (heard.method, heard.url, heard.body) == ("GET", f"{base_url}/a?b=c", b"")
    assert heard.headers["accept"] == "application/json"
    assert not {"content-length", "transfer-encoding"} & heard.headers.keys()


async def test_an_address_without_a_path_keeps_its_query() -> None:
    async with receiver(OK) as heard:
        await sent(f"http://127.0.0.1:{heard.port}?method=a")
    assert asked(heard)[0] == "POST /?method=a HTTP/1.1"


@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 400, 401, 404, 429, 500, 503, 599])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(status: int) -> None:
    async with receiver(OK) as other:
        answer = await replied(
            f"HTTP/1.1 {status} X\r\nLocation: {other.url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
    assert (answer.status, other.connections) == (status, 0)


async def test_headers_come_in_lower_case_and_doubles_are_joined() -> None:
    answer = await replied(b"HTTP/1.1 200 X\r\nWechatPay-Nonce: a\r\nWECHATPAY-NONCE: b\r\nX: \xe9\r\n\r\n")
    assert answer.headers == {"wechatpay-nonce": "a, b", "x": "é"}


async def test_cookies_are_not_kept() -> None:
    async with ChannelClient(NOBODY, tls=TLS, allow_loopback=True) as client:
        async with receiver(says(b"HTTP/1.1 200 X\r\nSet-Cookie: a=b\r\n\r\n")) as first:
            await client.send(posted(first.url))
        async with receiver(OK) as second:
            await client.send(posted(second.url))
    assert "cookie" not in second.requests[0].decode().lower()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
async def test_proxies_of_the_environment_are_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    async with receiver(OK) as heard:
        assert (await sent(heard.url)).status == 200


async def test_a_large_answer_is_read_whole_and_a_larger_one_not_at_all() -> None:
    large = b"x" * (3 * 1024 * 1024)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    assert (await replied(head % len(large), large)).body == large
    client = ChannelClient(NOBODY, tls=TLS, allow_loopback=True, body_bytes=1000)
    async with receiver(says(head % 1000, b"x" * 1000)) as heard, client:
        assert len((await client.send(posted(heard.url))).body) == 1000
    assert await broken(says(head % 1001, b"x" * 1001), body_bytes=1000) == "response_too_large"
    assert await broken(says(head % 10**12, *[b"x" * 65_536] * 40), body_bytes=1000) == "response_too_large"


async def test_nothing_is_unpacked() -> None:
    packed = gzip.compress(b"a" * 10_000)
    answer = await replied(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed), packed
    )
    assert answer.body == packed


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _turn in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("reply", [hang, drip])
async def test_the_total_deadline_ends_everything(reply: Reply) -> None:
    assert await broken(reply, total=SHORT) == "timed_out"


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"nonsense\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",),
        (b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",),
    ],
)
async def test_half_an_answer_is_none(parts: tuple[bytes, ...]) -> None:
    assert await broken(says(*parts)) == "protocol_error"


async def test_nobody_listens() -> None:
    assert await unanswered(f"http://127.0.0.1:{unused_port()}/", allow_loopback=True) == "connect_failed"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://localhost/",
        "http://api.mch.weixin.qq.com/",
        "https://a@api.mch.weixin.qq.com/",
        "https://api.mch.weixin.qq.com:22/",
        "https://api.mch.weixin.qq.com\\@127.0.0.1/",
        "https://api.mch.weixin.qq.com/\r\nX: y",
        "file:///etc/passwd",
        "",
        "https://",
    ],
)
async def test_an_address_that_may_not_be_called_is_not(url: str) -> None:
    network = Recorded()
    assert await unanswered(url, names=Everywhere(), network=network) == "address_refused"
    assert network.connected == []


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "192.168.0.1"], ["::1"], ["64:ff9b::7f00:1"]]
)
async def test_a_name_that_points_inside_is_not_called(answers: list[str]) -> None:
    network = Recorded()
    names = Names({"api.mch.weixin.qq.com": [answers]})
    reason = await unanswered("https://api.mch.weixin.qq.com/", names=names, network=network)
    assert (reason, network.connected) == ("address_refused", [])


async def test_loopback_is_called_only_where_it_is_allowed() -> None:
    async with receiver(OK) as heard:
        assert await unanswered(heard.url) == "address_refused"
        assert (await sent(heard.url)).status == 200
    assert heard.connections == 1


async def test_a_name_that_does_not_exist() -> None:
    assert await unanswered("https://api.mch.weixin.qq.com/") == "dns_failed"


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    certified = self_signed(tmp_path, "localhost")
    names = Names({"localhost": [["127.0.0.1"]]})
    async with receiver(OK, certified.server) as heard:
        url = f"https://localhost:{heard.port}/"
        assert await unanswered(url, names=names, allow_loopback=True) == "tls_failed"
        trusting = ssl.create_default_context(cadata=certified.pem)
        async with ChannelClient(names, tls=trusting, allow_loopback=True) as client:
            assert (await client.send(posted(url))).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        Request("DELETE", "http://127.0.0.1:{}/"),
        Request("GET\r\nX:", "http://127.0.0.1:{}/"),
        Request("GET", "http://127.0.0.1:{}/", {"X": "退"}),
        Request("GET", "http://127.0.0.1:{}/", {"X": "a\r\nY: b"}),
        Request("GET", "http://127.0.0.1:{}/", {"X Y": "a"}),
    ],
)
async def test_a_request_that_cannot_be_written_is_unanswered(request_: Request) -> None:
    async with receiver(OK) as heard:
        asked_for = Request(request_.method, request_.url.format(heard.port), request_.headers, b"{}")
        async with ChannelClient(NOBODY, tls=TLS, allow_loopback=True) as client:
            with pytest.raises(Unanswered) as silence:
                await client.send(asked_for)
    assert silence.value.reason in {"request_refused", "protocol_error"}
    assert heard.requests == []


async def test_a_task_that_is_cancelled_is_not_held_back() -> None:
    async with receiver(hang) as heard, ChannelClient(NOBODY, tls=TLS, allow_loopback=True) as client:
        task = asyncio.ensure_future(client.send(posted(heard.url)))
        await heard.called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_refund_over_real_http() -> None:
    """The adapter, the client and the gateway together, with an answer lost on the way."""
    made = scene()
    async with served(made.gateway) as base_url, ChannelClient(NOBODY, tls=TLS, allow_loopback=True) as client:
        adapter = WechatPay(our_credentials(), client, base_url=base_url, nonce=lambda: "n" * 32)
        made.gateway.faults.append(Fault.TIME_OUT_AFTER)
        assert await adapter.submit(PAYMENT, made.now) == Unclear("protocol_error")
        known = await adapter.query(PAYMENT, made.now)
        assert isinstance(known, Told)
        assert known.state is RefundState.PROCESSING
        made.pass_by(timedelta(days=1))
        found = await adapter.refunds_of_day(made.gateway.refunds[PAYMENT.refund_no].begun_at.date(), made.now)
    assert isinstance(found, tuple)
    assert [refund.amount for _, refund in found] == [PAYMENT.amount]
    assert made.gateway.paid_out(PAYMENT.payment_no) == PAYMENT.amount
