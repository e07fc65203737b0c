"""What the environment may ask for, and the secrets that a copy keeps."""

import base64
from pathlib import Path

import pytest

from launcher.places import CHECKOUT
from launcher.refusals import LaunchRefused
from launcher.secret_files import keep_sandbox_key, kept_sandbox_key, sealing_key
from launcher.settings import Settings, read_settings, service_environment

KEY = "kmr_test_fixed_for_a_demo"


def test_nothing_set_means_port_8000_on_loopback_and_data_in_the_checkout() -> None:
    settings = read_settings({})
    assert (settings.url, settings.places.kept) == ("http://127.0.0.1:8000", CHECKOUT / ".data")
    assert (settings.database_url, settings.sandbox_key) == (None, None)


def test_an_empty_value_counts_as_unset() -> None:
    empty = dict.fromkeys(("PORT", "HOST", "DATABASE_URL", "KMR_SANDBOX_KEY", "KMR_DATA_DIR"), "")
    settings = read_settings(empty)
    assert settings == Settings(settings.places, "127.0.0.1", 8000, None, None, empty)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80.0", "http", "\uff18\uff10", " 8000"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(LaunchRefused, match="PORT must be a number"):
        read_settings({"PORT": port})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_fixed_key_is_accepted_on_loopback(host: str) -> None:
    assert read_settings({"KMR_SANDBOX_KEY": KEY, "HOST": host}).sandbox_key == KEY


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org"])
def test_a_fixed_key_is_refused_where_others_can_reach_it(host: str) -> None:
    with pytest.raises(LaunchRefused, match="only while HOST is a loopback address"):
        read_settings({"KMR_SANDBOX_KEY": KEY, "HOST": host})


@pytest.mark.parametrize(
    "key", ["kmr_live_abcdef", "KMR_TEST_abc", "kmr_test_", "kmr_test_a b c", "kmr_test_退款裁决", "x"]
)
def test_a_fixed_key_of_another_form_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(LaunchRefused, match="must begin with kmr_test_") as refused:
        read_settings({"KMR_SANDBOX_KEY": key})
    assert len(key) < 3 or key not in str(refused.value).replace("begin with kmr_test_", "").replace("以 kmr_test_", "")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:9000"), ("::", "http://[::1]:9000"), ("::1", "http://[::1]:9000")],
)
def test_a_listener_on_all_addresses_is_reached_on_the_loopback_one(host: str, url: str) -> None:
    assert read_settings({"HOST": host, "PORT": "9000"}).url == url


def test_the_processes_get_what_they_need(tmp_path: Path) -> None:
    settings = read_settings({"KMR_DATA_DIR": str(tmp_path), "LANG": "C"})
    environ = service_environment(settings, "postgresql://x")
    assert (
        environ.items() >= {"HOST": "127.0.0.1", "PORT": "8000", "DATABASE_URL": "postgresql://x", "LANG": "C"}.items()
    )
    assert environ["KMR_ALLOW_LOOPBACK_WEBHOOKS"] == "1"
    assert len(base64.urlsafe_b64decode(environ["KMR_SEALING_KEY"])) == 32
    assert environ["KMR_FILES_URL"] == f"file://{tmp_path}/files"


def test_loopback_receivers_are_not_allowed_by_default_where_others_can_name_them(tmp_path: Path) -> None:
    settings = read_settings({"KMR_DATA_DIR": str(tmp_path), "HOST": "0.0.0.0"})
    assert service_environment(settings, "postgresql://x")["KMR_ALLOW_LOOPBACK_WEBHOOKS"] == "0"


def test_what_the_caller_has_set_stands(tmp_path: Path) -> None:
    given = {
        "KMR_DATA_DIR": str(tmp_path),
        "KMR_SEALING_KEY": "mine",
        "KMR_ALLOW_LOOPBACK_WEBHOOKS": "0",
        "KMR_FILES_URL": "s3://bucket/evidence",
    }
    environ = service_environment(read_settings(given), "postgresql://x")
    assert environ.items() >= given.items()
    assert not (tmp_path / "sealing-key").exists()


def test_the_sealing_key_is_made_once_and_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    key = sealing_key(tmp_path)
    assert sealing_key(tmp_path) == key
    assert (tmp_path / "sealing-key").stat().st_mode & 0o777 == 0o600
    assert sealing_key(tmp_path.parent) != key


def test_a_kept_sandbox_key_is_found_again_and_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    assert kept_sandbox_key(tmp_path) is None
    keep_sandbox_key(tmp_path, "kmr_test_first")
    keep_sandbox_key(tmp_path, KEY)
    assert kept_sandbox_key(tmp_path) == KEY
    assert (tmp_path / "sandbox-key").stat().st_mode & 0o777 == 0o600
