"""Addresses that must never be called, kind by kind; what holds for one must hold for its neighbours."""


def _words(text: str) -> list[str]:
    return text.split()


IPV4 = _words("""
    127.0.0.1 127.1.2.3 127.255.255.255 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1
    192.168.255.255 169.254.169.254 169.254.170.2 169.254.0.23 100.64.0.1 100.127.255.255 100.100.100.200 192.0.0.1
    192.0.0.8 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.175.48.1 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 168.63.129.16
""")

IPV6 = _words("""
    :: ::1 ::2 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8
    ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::
    2002:a00:1::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1
    2001:db8::1 2620:4f:8000::1 3fff::1 3fff:fff::1 100::1 100:0:0:1::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1
    febf::1 fec0::1 ff02::1 ff0e::1 5f00::1 4000::1 e000::1 1fff:ffff::1
""")

HOSTS = [
    *("127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001"),
    *(
        "0177.0.0.1",
        "127.000.000.001",
        "127.0.0.01",
        "0",
        "0x",
        "127.0.0.1.",
        "127.0.0.256",
        "127.0.0.0x1",
        "1.2.3.4.5",
    ),
    *("ok.test.1", "ok.test.0x7f", "localhost", "localhost.", "LOCALHOST", "LocalHost", "a.localhost", "ok.test."),
    *(
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "\uff11\uff12\uff17.0.0.1",
        "ℓocalhost",
        "local\u00adhost",
        "loc\u200balhost",
        "卡盟.中国",
        "ok\uff0etest",
    ),
    *("%31%32%37.0.0.1", "127.0.0.1%00.ok.test", "ok.test%2f", "ok%2etest", "[::1%25lo]", "[fe80::1%25eth0]"),
    *("[fe80::1%eth0]", "[::1", "::1]", "[]", "[ok.test]", "[127.0.0.1]", "[::1]ok.test", "[v1.a]", "::1", "[:::1]"),
    *("metadata", "internal", "intranet", "db", "api.svc.cluster.local", "printer.local", "a.internal", "router.lan"),
    *("metadata.google.internal", "METADATA.GOOGLE.INTERNAL", "instance-data.ec2.internal", "nas.home.arpa", "x.corp"),
    *("kubernetes.default.svc", "1.0.0.127.in-addr.arpa", "x.onion", "host.localdomain", "x.invalid", "x.private"),
    *(
        "xn--",
        "xn--.test",
        "xn--a.test",
        "xn--localhost-.test",
        "xn--a-.test",
        "xn--fiqs8s.xn--a.test",
        "-a.test",
        "a-.test",
        "a..test",
        ".test",
        "a_b.test",
        "*.test",
    ),
    *(f"{'a' * 64}.test", f"{'a.' * 125}test", "ok.test,a.test", "ok!test", "kmr.test", "KMR.test"),
]

SHAPES = [
    *("https://ok.test@127.0.0.1/", "https://127.0.0.1@ok.test/", "https://u:p@ok.test/", "https://@ok.test/"),
    *("https://127.0.0.1#@ok.test/", "https://ok.test/#", "https://ok.test/a#b", "https://ok.test#a"),
    *("https://ok.test\\@127.0.0.1/", "https://127.0.0.1\\@ok.test/", "https://ok.test\\a", "https:\\\\ok.test/"),
    *("https://ok.test%2f@127.0.0.1/", "https:/\\127.0.0.1/", "https:/127.0.0.1/", "https:127.0.0.1/", "https:///ok.test/"),
    *("//127.0.0.1/", "//ok.test/", "/hooks", "ok.test", "ok.test/hooks", "", " ", "https", "https:", "https:/", "://ok.test/"),
    *("https://exa\tmple.test/", "https://ok.test\r\nX: y/", "https://ok.test/\r\nX: y", "https://ok.test/\n", "\nhttps://ok.test/"),
    *(" https://127.0.0.1/", "https://ok.test/ ", "https:// 127.0.0.1/", "https://ok.test /", "https://ok.test/a b"),
    *("https://ok.test/\x00", "https://ok.test/\x7f", "https://ok.test/é", "https://ok.test/退款", "https://ok.test/\ud800"),
    *("https://ok.test/%", "https://ok.test/%zz", "https://ok.test/%1", "https://ok.test/<a>", 'https://ok.test/"'),
    *("http://ok.test/", "ftp://ok.test/", "file:///etc/passwd", "file://ok.test/", "gopher://ok.test/", "ws://ok.test/"),
    *("data:text/plain,x", "javascript:alert(1)", "unix:///run/x.sock", "dict://ok.test/", "https+unix://ok.test/"),
    *("https://ok.test:22/", "https://ok.test:25/", "https://ok.test:0/", "https://ok.test:1023/", "https://ok.test:6667/"),
    *("https://ok.test:65536/", "https://ok.test:99999/", "https://ok.test:-1/", "https://ok.test:+443/", "https://ok.test:/"),
    *("https://ok.test:0443/", "https://ok.test:4_43/"),
    *("https://ok.test:\uff14\uff14\uff13/", "https://ok.test:443:443/", "https://ok.test:a/"),
    *("https:///path", "https://", "https://?", "https://:443/", "https://" + "a" * 2_092),
    "https://ok.test/" + "a" * 2_033,
]  # fmt: skip


def every_form() -> list[str]:
    """Whole URLs."""
    return [
        *(f"https://{host}/" for host in IPV4),
        *(f"https://[{host}]/" for host in IPV6),
        *(f"https://{host}/" for host in HOSTS),
        *SHAPES,
    ]
