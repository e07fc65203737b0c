"""One attempt against receivers that are kind, broken, slow, greedy or hostile; all of them on loopback."""

import asyncio
import gzip
import socket
import ssl
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from app.outbound.answer import Answer, SendError
from app.outbound.sender import ANSWER_BYTES, Deadlines, Sender, tls_context
from app.outbound.signing import mint_secret, sign
from tests.outbound.receivers import (
    OK,
    PUBLIC,
    Everywhere,
    Names,
    Recorded,
    Reply,
    receiver,
    says,
    self_signed,
    unused_port,
)

TLS = tls_context()
ENOUGH = Deadlines(total=timedelta(seconds=30))
SHORT = Deadlines(total=timedelta(milliseconds=200))
HEAD = b"HTTP/1.1 200 OK\r\n"


async def sent(url: str, network: Recorded | None = None, deadlines: Deadlines = ENOUGH) -> Answer:
    async with Sender(Names({}), tls=TLS, allow_loopback=True, deadlines=deadlines, network=network) as sender:
        return await sender.send(url, headers={}, body=b"{}")


async def replied(reply: Reply, deadlines: Deadlines = ENOUGH) -> Answer:
    async with receiver(reply) as heard:
        return await sent(heard.url, deadlines=deadlines)


async def test_the_bytes_signed_are_the_bytes_that_arrive() -> None:
    secret, body = mint_secret(bytes(32)), '{"id":"evt_1","data":"退款"}'.encode()
    headers = sign([secret], message_id="evt_1", at=datetime.now(UTC), body=body)
    async with receiver(OK) as heard, Sender(Names({}), tls=TLS, allow_loopback=True) as sender:
        answer = await sender.send(heard.url + "?a=%2F", headers=headers, body=body)
    head, _, arrived = heard.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    received = dict(line.split(": ", 1) for line in lines[1:])
    Webhook(secret).verify(arrived, received)
    assert (answer.status, answer.error, answer.excerpt, arrived) == (200, None, "ok", body)
    assert lines[0] == "POST /hooks?a=%2F HTTP/1.1"
    assert received.pop("User-Agent").startswith("kmr-webhooks/")
    assert {name: value for name, value in received.items() if not name.lower().startswith("webhook-")} == {
        "Host": f"127.0.0.1:{heard.port}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 300, 400, 404, 409, 410, 429, 500, 503, 599, 999])
async def test_the_status_is_reported_as_it_is(status: int) -> None:
    answer = await replied(says(f"HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n".encode()))
    assert (answer.status, answer.error, answer.succeeded) == (status, None, 200 <= status < 300)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://127.0.0.1:{}/", "//127.0.0.1:{}/", "http://[::1", "ftp://x\x80", ""])
async def test_a_redirect_is_a_failure_and_the_other_host_is_never_called(status: int, location: str) -> None:
    async with receiver(OK) as other:
        where = location.format(other.port).encode("latin-1")
        head = b"HTTP/1.1 %d X\r\nLocation: %b\r\nRefresh: 0;url=%b\r\nContent-Length: 0\r\n\r\n" % (
            status,
            where,
            where,
        )
        answer = await replied(says(head))
    assert (answer.status, answer.error, answer.succeeded) == (status, None, False)
    assert other.connections == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_handed_on_cut_short(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nretry-after: ".encode()
    assert (await replied(says(head + b"120\r\n\r\n"))).retry_after == "120"
    assert (await replied(says(head + b"9" * 500 + b"\r\n\r\n"))).retry_after == "9" * 64
    assert (await replied(OK)).retry_after is None


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def drips(start: bytes, drop: bytes) -> Reply:
    """Goes on for ever, a drop at a time, as long as anybody listens."""

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return reply


@pytest.mark.parametrize(
    "reply",
    [never, drips(b"", b"H"), drips(HEAD + b"X: ", b"x"), drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silent", "status line", "header", "informational"],
)
async def test_without_a_status_line_in_the_whole_time_the_attempt_ends(reply: Reply) -> None:
    answer = await replied(reply, SHORT)
    assert (answer.status, answer.error, answer.succeeded) == (None, SendError.TIMED_OUT, False)


async def test_a_body_that_drips_ends_with_the_whole_time_and_the_status_stands() -> None:
    answer = await replied(drips(HEAD + b"Content-Length: 100000\r\n\r\n", b"x"), SHORT)
    assert (answer.status, answer.error) == (200, None)
    assert set(answer.excerpt) == {"x"}
    assert answer.duration >= SHORT.total


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 10\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
    ],
    ids=["short", "broken chunk", "cut off"],
)
async def test_a_body_that_breaks_does_not_take_the_status_back(rest: bytes) -> None:
    answer = await replied(says(HEAD + rest))
    assert (answer.status, answer.error, answer.excerpt) == (200, None, "abc")


async def closed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # To linger for no time at all makes the kernel send RST instead of FIN.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def status_then_reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize(
    "reply",
    [
        closed,
        reset,
        status_then_reset,
        says(),
        says(b"SSH-2.0-OpenSSH_9.9\r\n"),
        says(b"\x00" * 100),
        says(b"HTTP/1.1 20 OK\r\n\r\n"),
        says(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        says(HEAD + b"X: a\x00b\r\n\r\n"),
        says(HEAD + b"Content-Length: -1\r\n\r\n"),
        says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    ],
)
async def test_a_broken_head_is_a_protocol_error_or_at_least_no_success(reply: Reply) -> None:
    answer = await replied(reply)
    assert not answer.succeeded
    assert answer.error is SendError.PROTOCOL_ERROR or answer.status == 101


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 10485760\r\n\r\n",
        b"Content-Length: 1000000000000\r\n\r\n",
        b"Content-Length: 10485760\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(50_000_000)),
        b"Connection: close\r\n\r\n",
    ],
    ids=["10 MiB", "10^12", "gzip", "endless"],
)
async def test_of_a_huge_body_64_kib_are_read_and_the_status_stands(head: bytes) -> None:
    network = Recorded()
    async with receiver(says(HEAD + head, *[b"x" * 65536] * 160)) as heard:
        answer = await sent(heard.url, network)
    assert (answer.status, answer.error) == (200, None)
    assert network.bytes_read <= ANSWER_BYTES == 65536
    assert len(answer.excerpt) <= 1024


async def test_a_head_without_end_is_too_large() -> None:
    network = Recorded()
    async with receiver(says(HEAD, *[b"X-Filler: " + b"x" * 1000 + b"\r\n"] * 1000)) as heard:
        answer = await sent(heard.url, network)
    assert (answer.status, answer.error) == (None, SendError.RESPONSE_TOO_LARGE)
    assert network.bytes_read <= ANSWER_BYTES


async def test_a_packed_body_is_not_unpacked() -> None:
    packed = gzip.compress(b"x" * 1000)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    answer = await replied(says(head + packed))
    assert answer.status == 200
    assert "x" * 10 not in answer.excerpt


async def test_an_excerpt_can_be_stored_and_shown() -> None:
    answer = await replied(says(HEAD + b"Connection: close\r\n\r\n\x00\x1b[31m\xff\xe2\x80\xaea\nb\xe9\x80\x80"))
    assert answer.excerpt == "��[31m��a\nb退"


async def test_no_cookie_is_kept() -> None:
    reply = says(HEAD + b"Set-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
    async with receiver(reply) as heard, Sender(Names({}), tls=TLS, allow_loopback=True) as sender:
        for _ in range(2):
            await sender.send(heard.url, headers={}, body=b"{}")
    assert len(heard.requests) == 2
    assert b"cookie" not in b"".join(heard.requests).lower()


async def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(OK) as proxy, receiver(OK) as heard:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert (await sent(heard.url)).status == 200
    assert (proxy.connections, heard.connections) == (0, 1)


async def test_nobody_listening_is_a_failure_to_connect() -> None:
    assert (await sent(f"http://127.0.0.1:{unused_port()}/")).error is SendError.CONNECT_FAILED


async def test_one_sender_serves_many_at_once() -> None:
    gathered = asyncio.Barrier(20)

    async def together(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gathered.wait()
        writer.write(HEAD + b"Content-Length: 0\r\n\r\n")

    async with receiver(together) as heard, Sender(Names({}), tls=TLS, allow_loopback=True) as sender:
        answers = await asyncio.gather(*(sender.send(heard.url, headers={}, body=b"{}") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}


async def test_a_cancelled_attempt_is_cancelled_and_is_no_answer() -> None:
    async with receiver(never) as heard:
        attempt = asyncio.create_task(sent(heard.url))
        await heard.called.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt


async def sent_over_tls(port: int, trust: ssl.SSLContext, deadlines: Deadlines = ENOUGH) -> tuple[Answer, Recorded]:
    network = Recorded()
    async with Sender(Everywhere(), tls=trust, deadlines=deadlines, network=network) as sender:
        return await sender.send(f"https://ok.test:{port}/", headers={}, body=b"{}"), network


def trusting(pem: str) -> ssl.SSLContext:
    context = tls_context()
    context.load_verify_locations(cadata=pem)
    return context


async def test_tls_and_host_see_the_name_while_the_address_is_the_checked_one(tmp_path: Path) -> None:
    certified, asked = self_signed(tmp_path, "ok.test"), []
    certified.server.sni_callback = lambda _, name, __: asked.append(name)
    async with receiver(OK, certified.server) as heard:
        answer, network = await sent_over_tls(heard.port, trusting(certified.pem))
    assert (answer.status, answer.error) == (200, None)
    assert (asked, network.connected) == (["ok.test"], [PUBLIC])
    assert f"Host: ok.test:{heard.port}".encode() in heard.requests[0]


async def test_a_certificate_nobody_vouches_for_is_refused_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified = self_signed(tmp_path, "ok.test")
    (tmp_path / "roots.pem").write_text(certified.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    async with receiver(OK, certified.server) as heard:
        answer, _ = await sent_over_tls(heard.port, tls_context())
    assert (answer.error, heard.requests) == (SendError.TLS_FAILED, [])


@pytest.mark.parametrize(("name", "ends_in"), [("other.test", timedelta(days=1)), ("ok.test", timedelta(days=-1))])
async def test_a_trusted_certificate_for_another_name_or_past_its_time_is_refused(
    tmp_path: Path, name: str, ends_in: timedelta
) -> None:
    certified = self_signed(tmp_path, name, ends_in=ends_in)
    async with receiver(OK, certified.server) as heard:
        answer, _ = await sent_over_tls(heard.port, trusting(certified.pem))
    assert (answer.error, heard.requests) == (SendError.TLS_FAILED, [])


async def test_a_server_that_does_not_speak_tls_is_a_failure_of_tls() -> None:
    async with receiver(OK, listens=False) as heard:
        answer, _ = await sent_over_tls(heard.port, TLS)
    assert (answer.error, heard.requests) == (SendError.TLS_FAILED, [])


async def test_a_server_that_asks_for_a_certificate_of_ours_is_a_failure_of_tls(tmp_path: Path) -> None:
    certified = self_signed(tmp_path, "ok.test")
    certified.server.verify_mode = ssl.CERT_REQUIRED

    async def alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A handshake by hand: asyncio's own hangs up without the alert, which TLS 1.3 sends when ours is over."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        shaking = certified.server.wrap_bio(incoming, outgoing, server_side=True)
        while _wants_more(shaking):
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
        writer.write(outgoing.read())
        await reader.read()

    async with receiver(alert, listens=False) as heard:
        answer, _ = await sent_over_tls(heard.port, trusting(certified.pem))
    assert answer.error is SendError.TLS_FAILED


def _wants_more(shaking: ssl.SSLObject) -> bool:
    """One step of a handshake; over when it has succeeded or failed."""
    try:
        shaking.do_handshake()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLError:
        return False
    return False


async def test_a_handshake_that_never_ends_has_a_deadline_of_its_own() -> None:
    async with receiver(never, listens=False) as heard:
        answer, _ = await sent_over_tls(
            heard.port, TLS, Deadlines(connect=timedelta(milliseconds=50), total=ENOUGH.total)
        )
    assert answer.error is SendError.TIMED_OUT
    assert answer.duration < ENOUGH.total


def test_old_versions_of_tls_are_not_spoken_and_names_are_verified() -> None:
    assert TLS.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert TLS.verify_mode is ssl.CERT_REQUIRED
    assert TLS.check_hostname
