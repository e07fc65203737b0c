"""What the environment may say, and how a start is refused."""

import base64

import pytest
from pydantic import ValidationError

from app.config import Config, ConfigError, is_loopback, read_config

SEALING_KEY = base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")
BASE = {"DATABASE_URL": "postgresql+asyncpg://u:pw@db.test:5432/kmr", "KMR_SEALING_KEY": SEALING_KEY}


def read(**changes: str) -> Config:
    return read_config({**BASE, **changes})


def refusal(**changes: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(**changes)
    return str(caught.value)


def test_the_least_environment_gives_the_defaults() -> None:
    config = read()
    assert (config.host, config.port, config.pool_size, config.log_level) == ("127.0.0.1", 8000, 8, "info")
    assert config.sandbox_key is None
    assert config.allow_loopback_webhooks is False
    assert (config.files_url, config.largest_file) == (None, 20 * 1024 * 1024)
    assert config.sealing_key == bytes(range(200, 232))
    assert config.public_url is None
    assert config.wechat_pay_url == "https://api.mch.weixin.qq.com"
    assert config.alipay_url == "https://openapi.alipay.com/gateway.do"


def test_every_setting_is_read() -> None:
    config = read(
        HOST="::1",
        PORT="9001",
        KMR_SANDBOX_KEY="kmr_test_abc",
        KMR_ALLOW_LOOPBACK_WEBHOOKS="true",
        KMR_POOL_SIZE="3",
        KMR_LOG_LEVEL="WARNING",
        KMR_FILES_URL="s3://bucket/evidence",
        KMR_MAX_FILE_MIB="5",
        KMR_PUBLIC_URL="https://refunds.shop.example/api/",
        KMR_WECHAT_PAY_URL="https://api2.mch.weixin.qq.com/",
        KMR_ALIPAY_URL="http://127.0.0.1:9002/gateway.do",
    )
    assert (config.host, config.port, config.sandbox_key) == ("::1", 9001, "kmr_test_abc")
    assert (config.allow_loopback_webhooks, config.pool_size, config.log_level) == (True, 3, "warning")
    assert (config.files_url, config.largest_file) == ("s3://bucket/evidence", 5 * 1024 * 1024)
    assert config.public_url == "https://refunds.shop.example/api"
    assert config.wechat_pay_url == "https://api2.mch.weixin.qq.com"
    assert config.alipay_url == "http://127.0.0.1:9002/gateway.do"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_usual_schemes_lead_to_our_driver(scheme: str) -> None:
    assert read(DATABASE_URL=f"{scheme}://u:p%40w@h/d").database_url == "postgresql+asyncpg://u:p%40w@h/d"


def test_sslmode_becomes_the_drivers_own_word() -> None:
    assert read(DATABASE_URL="postgres://u@h/d?sslmode=require").database_url.endswith("/d?ssl=require")


@pytest.mark.parametrize(
    "url", ["mysql://u:hush@h/d", "postgresql+psycopg://u:hush@h/d", "hush", "postgresql:///hush", "postgres://hush"]
)
def test_other_databases_are_refused_without_repeating_the_address(url: str) -> None:
    text = refusal(DATABASE_URL=url)
    assert text.startswith("DATABASE_URL: ")
    assert "hush" not in text


@pytest.mark.parametrize("name", sorted(BASE))
@pytest.mark.parametrize("value", ["", None])
def test_a_required_setting_may_not_be_absent_or_empty(name: str, value: str | None) -> None:
    rest = {key: text for key, text in BASE.items() if key != name}
    with pytest.raises(ConfigError, match=name):
        read_config(rest if value is None else {**rest, name: value})


def test_an_unknown_name_of_ours_is_named() -> None:
    text = refusal(KMR_POLL_SIZE="hush")
    assert "KMR_POLL_SIZE" in text
    assert "hush" not in text


def test_names_of_others_and_of_the_launcher_pass() -> None:
    assert read(PATH="/bin", KMR_DATA_DIR="/x", KMR_TEST_DATABASE_URL="y") == read()


def test_only_what_is_handed_in_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    monkeypatch.setenv("KMR_SANDBOX_KEY", "kmr_test_elsewhere")
    assert (read().port, read().sandbox_key) == (8000, None)


@pytest.mark.parametrize("key", ["kmr_live_abcdef", "kmr_test_a b", "kmr_test_ab\n", "KMR_TEST_abc", "kmr_test_密密密"])
def test_an_unfit_sandbox_key_stops_the_start(key: str) -> None:
    text = refusal(KMR_SANDBOX_KEY=key)
    assert "KMR_SANDBOX_KEY" in text
    assert key not in text


def test_a_fixed_sandbox_key_stays_on_this_machine() -> None:
    assert "KMR_SANDBOX_KEY" in refusal(KMR_SANDBOX_KEY="kmr_test_abc", HOST="0.0.0.0")
    assert read(HOST="0.0.0.0").host == "0.0.0.0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "hush"),
        ("KMR_POOL_SIZE", "0"),
        ("KMR_LOG_LEVEL", "hush"),
        ("KMR_ALLOW_LOOPBACK_WEBHOOKS", "hush"),
        ("KMR_MAX_FILE_MIB", "0"),
        ("KMR_MAX_FILE_MIB", "101"),
        ("KMR_FILES_URL", "/srv/hush"),
        ("KMR_FILES_URL", "files/hush"),
        ("KMR_FILES_URL", "file://hush/files"),
        ("KMR_FILES_URL", "file:///"),
        ("KMR_FILES_URL", "file:///srv/files?hush"),
        ("KMR_FILES_URL", "s3://"),
        ("KMR_FILES_URL", "s3://key:hush@bucket/x"),
        ("KMR_FILES_URL", "s3://bucket/x#hush"),
        ("KMR_FILES_URL", "https://hush.test/"),
        ("KMR_FILES_URL", "file://[hush"),
        ("KMR_PUBLIC_URL", "hush"),
        ("KMR_PUBLIC_URL", "http://hush.example"),
        ("KMR_PUBLIC_URL", "https://user:hush@shop.example"),
        ("KMR_PUBLIC_URL", "https://shop.example/?hush"),
        ("KMR_WECHAT_PAY_URL", "https://hush.example/v3"),
        ("KMR_ALIPAY_URL", "ftp://hush.example"),
        ("KMR_ALIPAY_URL", "https://[hush"),
        ("KMR_SEALING_KEY", "hush"),
        ("KMR_SEALING_KEY", base64.urlsafe_b64encode(bytes(31)).decode()),
        ("KMR_SEALING_KEY", "密" * 43),
    ],
)
def test_an_unfit_value_is_named_by_its_setting_alone(name: str, value: str) -> None:
    text = refusal(**{name: value})
    assert text.startswith(f"{name}: ")
    assert "hush" not in text


def test_a_config_cannot_be_changed_and_shows_no_secret() -> None:
    config = read(KMR_SANDBOX_KEY="kmr_test_hush")
    with pytest.raises(ValidationError):
        config.port = 1  # type: ignore[misc]
    assert not any(secret in repr(config) for secret in ("hush", "pw", SEALING_KEY, repr(config.sealing_key)))


@pytest.mark.parametrize("url", ["file:///srv/files", "file:///%E8%AF%81%20%23", "s3://my.bucket-1", "s3://bucket/a/b"])
def test_places_for_files(url: str) -> None:
    assert read(KMR_FILES_URL=url).files_url == url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
