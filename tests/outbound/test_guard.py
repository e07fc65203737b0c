from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.addresses import DENIED_V4, DENIED_V6, is_public
from app.outbound.guard import MAX_ADDRESSES, Target, check_addresses, check_url
from app.outbound.refused import TEXTS, AddressRefused, RefusalCode
from tests.outbound.forms import HOSTS, IPV4, IPV6, SHAPES, every_form


def checked(url: str, *, allow_loopback: bool = False, https_only: bool = True) -> Target:
    return check_url(
        url, allow_loopback=allow_loopback, https_only=https_only, own_hosts={"kmr.test"}, own_ports={8000}
    )


def code_of(url: str, *, allow_loopback: bool = False, https_only: bool = True) -> RefusalCode:
    with pytest.raises(AddressRefused) as caught:
        checked(url, allow_loopback=allow_loopback, https_only=https_only)
    return caught.value.code


def outcome(url: str, *, https_only: bool, allow_loopback: bool) -> Target | RefusalCode:
    try:
        return checked(url, https_only=https_only, allow_loopback=allow_loopback)
    except AddressRefused as refused:
        return refused.code


@pytest.mark.parametrize("url", every_form())
def test_every_hostile_form_is_refused_in_every_mode_that_has_no_business_with_it(url: str) -> None:
    code_of(url)


@pytest.mark.parametrize("host", [*IPV4, *IPV6])
def test_no_special_purpose_address_is_public(host: str) -> None:
    assert not is_public(ip_address(host))


@pytest.mark.parametrize(
    "host", [*(h for h in IPV4 if not h.startswith("127.")), *(f"[{h}]" for h in IPV6 if h != "::1")]
)
def test_a_mode_for_loopback_lets_nothing_else_through(host: str) -> None:
    assert code_of(f"https://{host}/", allow_loopback=True, https_only=False) is RefusalCode.NOT_PUBLIC


@pytest.mark.parametrize("host", [h for h in HOSTS if h.lower() != "localhost"])
def test_a_mode_for_loopback_takes_no_odd_spelling_of_it(host: str) -> None:
    code_of(f"http://{host}/", allow_loopback=True, https_only=False)


@pytest.mark.parametrize("url", [shape for shape in SHAPES if shape != "http://ok.test/"])
def test_a_mode_for_http_changes_nothing_else(url: str) -> None:
    code_of(url, https_only=False)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://u:p@ok.test/", RefusalCode.USERINFO),
        ("https://ok.test/#x", RefusalCode.FRAGMENT),
        ("http://ok.test/", RefusalCode.SCHEME),
        ("ftp://ok.test/", RefusalCode.SCHEME),
        ("https://ok.test:22/", RefusalCode.PORT),
        ("https://ok.test:65536/", RefusalCode.PORT),
        ("https://ok.test/" + "a" * 2_033, RefusalCode.TOO_LONG),
        ("https://退款.test/", RefusalCode.MALFORMED),
        ("https://127.1/", RefusalCode.HOST),
        ("https://a_b.test/", RefusalCode.HOST),
        ("https://10.0.0.1/", RefusalCode.NOT_PUBLIC),
        ("https://db/", RefusalCode.INTERNAL_NAME),
        ("https://a.internal/", RefusalCode.INTERNAL_NAME),
        ("https://KMR.test/", RefusalCode.OWN),
    ],
)
def test_a_refusal_says_what_is_wrong(url: str, code: RefusalCode) -> None:
    assert code_of(url) is code


@pytest.mark.parametrize(
    ("url", "normalised", "port"),
    [
        ("https://ok.test", "https://ok.test/", 443),
        ("HTTPS://OK.Test/Hooks?A=b&c=%E9", "https://ok.test/Hooks?A=b&c=%E9", 443),
        ("https://ok.test:8443/x", "https://ok.test:8443/x", 8443),
        ("https://ok.test:1024/", "https://ok.test:1024/", 1024),
        ("https://ok.test:65535/", "https://ok.test:65535/", 65535),
        ("https://xn--fiqs8s.xn--fiqs8s/", "https://xn--fiqs8s.xn--fiqs8s/", 443),
        ("https://8.8.8.8/", "https://8.8.8.8/", 443),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/", 8443),
        (f"https://{'a' * 63}.test/", f"https://{'a' * 63}.test/", 443),
        (f"https://{'a.' * 124}tests/", f"https://{'a.' * 124}tests/", 443),
        ("https://ok.test/" + "a" * 2_032, "https://ok.test/" + "a" * 2_032, 443),
    ],
)
def test_an_honest_address_is_accepted(url: str, normalised: str, port: int) -> None:
    target = checked(url)
    assert (target.url, target.scheme, target.port) == (normalised, "https", port)


@pytest.mark.parametrize("url", ["https://ok.test?x=1", "https://ok.test/a?b"])
def test_a_query_with_or_without_a_path_goes_to_the_same_host(url: str) -> None:
    assert checked(url).host == httpx.URL(checked(url).url).host == "ok.test"


def test_http_is_for_those_who_say_so_and_for_loopback_in_a_test_mode() -> None:
    assert checked("http://ok.test/", https_only=False).port == 80
    assert checked("http://127.0.0.1:9000/", allow_loopback=True).port == 9000
    assert checked("http://localhost:9000/", allow_loopback=True).host == "localhost"
    assert checked("http://[::1]:9000/", allow_loopback=True).host == "::1"
    assert code_of("http://ok.test/", allow_loopback=True) is RefusalCode.SCHEME
    assert code_of("http://127.0.0.1:9000/", https_only=False) is RefusalCode.NOT_PUBLIC
    assert code_of("http://localhost:9000/", https_only=False) is RefusalCode.INTERNAL_NAME


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_the_service_does_not_call_itself_on_loopback(host: str) -> None:
    assert code_of(f"http://{host}:8000/", allow_loopback=True) is RefusalCode.OWN


def test_a_port_of_ours_is_nobodys_elsewhere() -> None:
    assert checked("https://ok.test:8000/").port == 8000


@given(url=st.from_regex(r"https://[a-z0-9.@:\[\]#?/\\%_-]{0,40}", fullmatch=True))
def test_the_client_reads_the_host_that_was_checked(url: str) -> None:
    try:
        target = checked(url)
    except AddressRefused:
        return
    read = httpx.URL(target.url)
    assert (read.host, read.port or 443, read.scheme) == (target.host, target.port, "https")


@given(
    label=st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True), second=st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)
)
def test_the_client_can_read_every_encoded_name_that_was_accepted(label: str, second: str) -> None:
    try:
        target = checked(f"https://xn--{label}.xn--{second}.test/")
    except AddressRefused:
        return
    assert not httpx.URL(target.url).host.isascii()


@given(url=st.text(), https_only=st.booleans(), allow_loopback=st.booleans())
def test_nothing_but_a_target_or_a_refusal_comes_of_any_text(url: str, https_only: bool, allow_loopback: bool) -> None:
    assert outcome(url, https_only=https_only, allow_loopback=allow_loopback)


@given(ip=st.ip_addresses())
def test_what_the_standard_library_calls_not_global_is_not_public(ip: IPv4Address | IPv6Address) -> None:
    assert ip.is_global or not is_public(ip)


@given(network=st.sampled_from([*DENIED_V4, *DENIED_V6]), place=st.integers(0, 2**128 - 1))
def test_a_denied_network_is_denied_to_its_last_address(network: object, place: int) -> None:
    assert isinstance(network, type(DENIED_V4[0]) | type(DENIED_V6[0]))
    assert not is_public(network[place % network.num_addresses])


@pytest.mark.parametrize("host", ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0",
    "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2000::1",
    "2001:200::1", "2001:4860:4860::8888", "2003::1", "2400:3200::1", "3ffe::1", "3fff:1000::1"])  # fmt: skip
def test_the_neighbours_of_denied_networks_are_public(host: str) -> None:
    assert is_public(ip_address(host))


def test_there_are_enough_forms() -> None:
    assert len(set(every_form())) >= 140


def test_every_refusal_has_a_text_in_each_language() -> None:
    assert set(TEXTS) == set(RefusalCode)
    assert all(en.endswith(".") and zh.endswith("。") for en, zh in TEXTS.values())


def test_answers_keep_their_order_and_lose_their_doubles() -> None:
    found = check_addresses(["8.8.8.8", "1.1.1.1", "8.8.8.8"], allow_loopback=False)
    assert [str(ip) for ip in found] == ["8.8.8.8", "1.1.1.1"]


def test_sixteen_addresses_are_enough_for_anybody() -> None:
    many = [f"8.8.8.{n}" for n in range(MAX_ADDRESSES + 1)]
    assert len(check_addresses(many[:-1], allow_loopback=False)) == MAX_ADDRESSES
    with pytest.raises(AddressRefused, match="address_too_many"):
        check_addresses(many, allow_loopback=False)


@pytest.mark.parametrize("answer", ["", "ok.test", "127.1", "fe80::1%eth0", "2606:4700::1%eth0", "8.8.8.8 "])
def test_an_answer_that_is_no_plain_address_is_refused(answer: str) -> None:
    with pytest.raises(AddressRefused, match="address_not_public"):
        check_addresses(["8.8.8.8", answer], allow_loopback=True)
