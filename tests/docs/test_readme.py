"""What the READMEs show runs as shown, and both say the same."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.api.schemas.adjudications import EXAMPLES
from app.config import Config
from app.ids import random_bytes
from app.outbound.signing import mint_secret, sign
from tests.docs.conftest import Service
from tests.docs.documents import code, headings, text_of

ENGLISH, CHINESE = text_of("README.md"), text_of("README.zh-CN.md")
FILE_A_CLAIM, WITH_THE_PACKAGE, BY_HAND = code(ENGLISH, "python")
SECRET = mint_secret(random_bytes(32))
BODY = '{"type":"case.filed","data":{"name":"点卡"}}'.encode()


def test_both_languages_have_the_same_sections_commands_and_code() -> None:
    assert [level for level, _ in headings(ENGLISH)] == [level for level, _ in headings(CHINESE)]
    for language in ("sh", "python", "js", "json"):
        assert code(ENGLISH, language)
        assert code(ENGLISH, language) == code(CHINESE, language)
    assert _first_column(ENGLISH) == _first_column(CHINESE)


def test_the_table_of_settings_names_all_that_are_read() -> None:
    launcher = {"KMR_DATA_DIR", "KMR_TEST_DATABASE_URL", "PG_BIN"}
    read = {field.alias for field in Config.model_fields.values()}
    assert {name.strip("`") for name in _first_column(ENGLISH)} == read | launcher


def _first_column(text: str) -> list[str]:
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]


async def _run(*argv: str, service: Service) -> str:
    """What a program prints; it must end well."""
    environ = {**os.environ, "REFUNDS_URL": service.url, "REFUNDS_KEY": service.key, "NO_PROXY": "127.0.0.1"}
    running = await asyncio.create_subprocess_exec(
        *argv, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await running.communicate()
    assert running.returncode == 0, err.decode()
    return out.decode()


async def test_the_claim_in_python_is_approved_once_however_often_it_runs(service: Service) -> None:
    body = FILE_A_CLAIM.replace("datetime.now(UTC)", repr(datetime.now(UTC)).replace("datetime.datetime", "datetime"))
    body = body.replace("datetime.timezone.utc", "UTC")
    first = await _run(sys.executable, "-c", body, service=service)
    assert "approved" in first
    assert "发货记录中没有任何交付" in first
    assert await _run(sys.executable, "-c", body, service=service) == first


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl; .ci/run installs it")
async def test_the_claim_in_the_shell_is_approved(service: Service) -> None:
    answer = await _run("sh", "-c", code(ENGLISH, "sh")[1], service=service)
    assert '"decisive_rule":"card-invalid"' in answer


async def test_the_decision_shown_is_a_part_of_the_one_answered(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers=service.headers) as api:
        answer = (await api.post("/v1/adjudications", json=EXAMPLES["not_delivered"]["value"])).json()
    assert _is_part(httpx.Response(200, text=code(ENGLISH, "json")[0]).json(), answer)


def _is_part(shown: Any, whole: Any) -> bool:
    if isinstance(shown, dict):
        return all(name in whole and _is_part(value, whole[name]) for name, value in shown.items())
    if isinstance(shown, list):
        return all(map(_is_part, shown, whole)) and len(shown) == len(whole)
    return bool(shown == whole)


def _defined(program: str, name: str) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(program, names)
    found = names[name]
    assert callable(found)
    return found  # type: ignore[no-any-return]


def _headers(secret: str, *, at: datetime | None = None) -> dict[str, str]:
    return dict(
        sign([mint_secret(random_bytes(32)), secret], message_id="evt_1", at=at or datetime.now(UTC), body=BODY)
    )


BOTH = pytest.mark.parametrize(
    "verify", [_defined(WITH_THE_PACKAGE, "verified"), _defined(BY_HAND, "is_genuine")], ids=["package", "by hand"]
)


@BOTH
def test_what_we_sign_verifies(verify: Callable[..., Any]) -> None:
    assert verify(SECRET, BODY, _headers(SECRET))


@BOTH
def test_another_body_secret_id_or_time_does_not_verify(verify: Callable[..., Any]) -> None:
    headers = _headers(SECRET)
    assert not verify(SECRET, BODY + b" ", headers)
    assert not verify(mint_secret(random_bytes(32)), BODY, headers)
    assert not verify(SECRET, BODY, {**headers, "webhook-id": "evt_2"})
    assert not verify(SECRET, BODY, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)})
    assert not verify(SECRET, BODY, {**headers, "webhook-signature": "v1,AAAA v1,é"})
    for minutes in (-6, 6):
        assert not verify(SECRET, BODY, _headers(SECRET, at=datetime.now(UTC) + timedelta(minutes=minutes)))
