"""Nothing is connected to but what was looked up once and checked."""

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.outbound.answer import Answer, SendError
from app.outbound.resolver import NameUnresolved, Resolver, SystemResolver
from app.outbound.sender import Deadlines, Sender, tls_context
from tests.outbound.forms import every_form
from tests.outbound.receivers import OK, PUBLIC, PUBLIC_TOO, Everywhere, Names, Recorded, receiver

TLS = tls_context()
QUICK = Deadlines(dns=timedelta(milliseconds=20), connect=timedelta(seconds=5), total=timedelta(seconds=5))


async def sent(url: str, resolver: Resolver, network: Recorded, *, allow_loopback: bool = False) -> Answer:
    async with Sender(
        resolver, tls=TLS, allow_loopback=allow_loopback, https_only=False, own_hosts={"kmr.test"},
        deadlines=QUICK, network=network,
    ) as sender:  # fmt: skip
        return await sender.send(url, headers={}, body=b"{}")


async def test_no_hostile_form_opens_a_connection_even_if_every_name_resolves() -> None:
    network = Recorded()
    async with Sender(Everywhere(), tls=TLS, own_hosts={"kmr.test"}, network=network) as sender:
        answers = [await sender.send(url, headers={}, body=b"{}") for url in every_form()]
    assert {answer.error for answer in answers} == {SendError.ADDRESS_REFUSED}
    assert network.connected == []


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC, PUBLIC_TOO, "169.254.169.254"],
        ["fd00:ec2::254"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::a00:1"],
        [PUBLIC, "internal.test"],
        [f"8.8.{n >> 8}.{n & 255}" for n in range(1_000)],
        [f"8.8.8.{n}" for n in range(17)],
    ],
    ids=str,
)
async def test_one_address_that_is_not_public_refuses_the_name(answers: list[str]) -> None:
    network = Recorded()
    answer = await sent("http://ok.test/", Names({"ok.test": [answers]}), network)
    assert (answer.error, answer.status, network.connected) == (SendError.ADDRESS_REFUSED, None, [])


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::ffff:127.0.0.1"]])
async def test_a_mode_for_loopback_opens_no_other_private_network(answers: list[str]) -> None:
    network = Recorded()
    answer = await sent("http://ok.test/", Names({"ok.test": [answers]}), network, allow_loopback=True)
    assert (answer.error, network.connected) == (SendError.ADDRESS_REFUSED, [])


async def test_a_name_that_changes_between_check_and_connect_is_asked_once_and_gains_nothing() -> None:
    names, network = Names({"ok.test": [[PUBLIC], ["127.0.0.1"]]}), Recorded()
    async with receiver(OK) as heard:
        url = f"http://ok.test:{heard.port}/"
        assert (await sent(url, names, network)).status == 200
        assert (names.asked, network.connected) == (["ok.test"], [PUBLIC])
        assert (await sent(url, names, network)).error is SendError.ADDRESS_REFUSED
    assert (network.connected, heard.connections) == ([PUBLIC], 1)


async def test_a_name_is_looked_up_again_at_every_attempt_of_one_sender() -> None:
    names, network = Names({"ok.test": [[PUBLIC], [PUBLIC], ["10.0.0.1"]]}), Recorded()
    async with receiver(OK) as heard, Sender(names, tls=TLS, https_only=False, network=network) as sender:
        url = f"http://ok.test:{heard.port}/"
        answers = [await sender.send(url, headers={}, body=b"{}") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, None]
    assert network.connected == [PUBLIC, PUBLIC]


async def test_a_name_that_starts_to_exist_as_a_private_one_is_refused() -> None:
    network = Recorded()
    assert (await sent("http://ok.test/", Names({}), network)).error is SendError.DNS_FAILED
    answer = await sent("http://ok.test/", Names({"ok.test": [["192.168.0.1"]]}), network)
    assert (answer.error, network.connected) == (SendError.ADDRESS_REFUSED, [])


async def test_the_next_address_is_tried_when_the_first_is_dead_and_four_at_most() -> None:
    four = ["8.8.8.1", "8.8.8.2", "8.8.8.3", "8.8.8.4"]
    async with receiver(OK) as heard:
        url = f"http://ok.test:{heard.port}/"
        network = Recorded(dead=frozenset(four[:3]))
        assert (await sent(url, Names({"ok.test": [four]}), network)).status == 200
        assert network.connected == four
        network = Recorded(dead=frozenset(four))
        assert (await sent(url, Names({"ok.test": [[*four, PUBLIC]]}), network)).error is SendError.CONNECT_FAILED
        assert network.connected == four


class Silent:
    """A name server that does not answer."""

    async def resolve(self, host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError((host, port))


@pytest.mark.parametrize("resolver", [Silent(), Names({}), Names({"ok.test": [[]]})], ids=["silent", "none", "empty"])
async def test_a_name_without_an_answer_in_time_fails_as_dns(resolver: Resolver) -> None:
    network = Recorded()
    answer = await sent("http://ok.test/", resolver, network)
    assert (answer.error, network.connected) == (SendError.DNS_FAILED, [])


def looked_up(found: dict[str, list[str]], asked: list[str]) -> Callable[..., list[tuple[Any, ...]]]:
    def look_up(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        if host not in found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found[host]]

    return look_up


async def test_the_system_is_asked_for_the_absolute_name_so_that_no_search_domain_is_added() -> None:
    asked: list[str] = []
    resolver = SystemResolver(looked_up({"ok.test.": [PUBLIC, PUBLIC_TOO]}, asked))
    assert await resolver.resolve("ok.test", 443) == [PUBLIC, PUBLIC_TOO]
    with pytest.raises(NameUnresolved):
        await resolver.resolve("other.test", 443)
    assert asked == ["ok.test.", "other.test."]
    resolver.close()


async def test_localhost_is_loopback_without_asking_anybody() -> None:
    asked: list[str] = []
    resolver = SystemResolver(looked_up({"localhost.": [PUBLIC]}, asked))
    assert await resolver.resolve("localhost", 80) == ["127.0.0.1", "::1"]
    assert asked == []
    resolver.close()
