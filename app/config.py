"""The environment, read once into a frozen config. A name of ours that nobody knows stops the start."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

LogLevel = Literal["debug", "info", "warning", "error"]

_LAUNCHER_NAMES = frozenset({"KMR_DATA_DIR", "KMR_TEST_DATABASE_URL"})
_SANDBOX_KEY = re.compile(r"kmr_test_[!-~]{1,200}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
_DRIVER = "postgresql+asyncpg"
_VALUE_ERROR = "Value error, "


class ConfigError(Exception):
    """The environment is not usable. The text names the settings, never their values."""


class Config(BaseSettings):
    """All that the environment decides. Fields without a default are required."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=False, case_sensitive=True
    )

    database_url: str = Field(alias="DATABASE_URL", repr=False)
    host: str = Field(default="127.0.0.1", alias="HOST", min_length=1)
    port: int = Field(default=8000, alias="PORT", ge=1, le=65535)
    sandbox_key: str | None = Field(default=None, alias="KMR_SANDBOX_KEY", repr=False)
    sealing_key: bytes = Field(alias="KMR_SEALING_KEY", repr=False)
    allow_loopback_webhooks: bool = Field(default=False, alias="KMR_ALLOW_LOOPBACK_WEBHOOKS")
    pool_size: int = Field(default=8, alias="KMR_POOL_SIZE", ge=1, le=200)
    files_url: str | None = Field(default=None, alias="KMR_FILES_URL")
    max_file_mib: int = Field(default=20, alias="KMR_MAX_FILE_MIB", ge=1, le=100)
    log_level: LogLevel = Field(default="info", alias="KMR_LOG_LEVEL")
    public_url: str | None = Field(default=None, alias="KMR_PUBLIC_URL")
    wechat_pay_url: str = Field(default="https://api.mch.weixin.qq.com", alias="KMR_WECHAT_PAY_URL")
    alipay_url: str = Field(default="https://openapi.alipay.com/gateway.do", alias="KMR_ALIPAY_URL")

    @property
    def largest_file(self) -> int:
        """In bytes."""
        return self.max_file_mib * 1024 * 1024

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in: nothing is read behind the caller's back."""
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _with_our_driver(cls, url: str) -> str:
        return _asyncpg_url(url)

    @field_validator("sandbox_key")
    @classmethod
    def _is_test_key(cls, key: str | None) -> str | None:
        if key is not None and not _SANDBOX_KEY.fullmatch(key):
            raise ValueError("must begin with kmr_test_ and go on with visible ASCII characters")
        return key

    @field_validator("sealing_key", mode="before")
    @classmethod
    def _of_32_bytes(cls, text: str) -> bytes:
        return _sealing_key(text)

    @field_validator("files_url")
    @classmethod
    def _is_a_place(cls, url: str | None) -> str | None:
        if url is not None and not _is_a_place_for_files(url):
            raise ValueError("must look like file:///folder or s3://bucket/prefix")
        return url

    @field_validator("public_url", "wechat_pay_url", "alipay_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not _is_a_web_address(url):
            raise ValueError("must look like https://host/path, without a query")
        return None if url is None else url.rstrip("/")

    @field_validator("wechat_pay_url")
    @classmethod
    def _is_a_host_alone(cls, url: str) -> str:
        """What is signed is the path of the interface, so that nothing may stand before it."""
        if urlsplit(url).path:
            raise ValueError("must look like https://host, without a path")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, level: str) -> str:
        return level.lower()

    @model_validator(mode="after")
    def _fixed_key_stays_home(self) -> Self:
        if self.sandbox_key is not None and not is_loopback(self.host):
            raise ValueError("KMR_SANDBOX_KEY: a fixed key is accepted only while HOST is a loopback address")
        return self


def _is_a_place_for_files(url: str) -> bool:
    """A bucket's credentials belong into the variables that are meant for them, and not into an address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.query or parts.fragment:
        return False
    if parts.scheme == "s3":
        return bool(_BUCKET.fullmatch(parts.netloc))
    return parts.scheme == "file" and not parts.netloc and len(parts.path) > 1


def _is_a_web_address(url: str) -> bool:
    """Plain http only where it stays on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.query or parts.fragment or parts.username or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def read_config(environment: Mapping[str, str]) -> Config:
    """The config that `environment` asks for; ConfigError with a text for people otherwise.

    An empty value counts as absent, as container tools pass on unset names that way.
    """
    known = {field.alias for field in Config.model_fields.values() if field.alias}
    ours = {name for name in environment if name.startswith("KMR_")} - _LAUNCHER_NAMES
    if unknown := sorted(ours - known):
        raise ConfigError(f"Unknown setting: {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    chosen = {name: environment[name] for name in known if environment.get(name)}
    try:
        return Config.model_validate(chosen)
    except ValidationError as error:
        raise ConfigError(_readable(error)) from None


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _asyncpg_url(url: str) -> str:
    """The same address with our driver's name, and libpq's `sslmode` under the name that asyncpg's dialect reads."""
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and len(parts.path) > 1 and parts.port != 0
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {_DRIVER, "postgresql", "postgres"} or not complete:
        raise ValueError(f"must look like {_DRIVER}://user:password@host:5432/name")
    query = [("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit((_DRIVER, parts.netloc, parts.path, urlencode(query), ""))


def _sealing_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("must be 32 random bytes in base64url (43 characters)")
    return key


def _readable(error: ValidationError) -> str:
    lines = [_line(str(fault["loc"][0]) if fault["loc"] else "", fault["msg"]) for fault in error.errors()]
    return "; ".join(lines) + "."


def _line(name: str, message: str) -> str:
    text = message.removeprefix(_VALUE_ERROR)
    return f"{name}: {text}" if name else text
