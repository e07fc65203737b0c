"""One JSON line an event; never the contents of a request, not even inside an exception."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app import logs
from tests.api.foundations_app import build, client

CARD = "AB12-CD34-EF56-7788"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers = root.handlers[:]
    loggers = [root, *map(logging.getLogger, ("app", "uvicorn.error"))]
    levels = [logger.level for logger in loggers]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.split("\n") if line]


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.logger("app.x").info("case_filed", case_id="case_1", n=3)
    (event,) = lines(capsys)
    assert (event["event"], event["level"], event["case_id"], event["n"]) == ("case_filed", "info", "case_1", 3)
    assert event["at"].endswith("Z")


def test_control_characters_stay_inert(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.logger("app.x").warning("odd", value="a\nb\x1b[31m\u202e\u2028\ud800")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.isascii()
    assert text.removesuffix("\n").isprintable()


def test_the_level_holds_for_us_and_for_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    logs.logger("app.x").info("quiet")
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").warning("heard %s", "once")
    assert [(event["event"], event["logger"]) for event in lines(capsys)] == [("heard once", "library")]


def test_libraries_are_quiet_below_warning_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logs.logger("app.x").debug("ours")
    logging.getLogger("uvicorn.error").info("started")
    for name in ("httpx", "httpcore", "sqlalchemy.engine", "uvicorn.access", "asyncio"):
        logging.getLogger(name).info("GET /?card=%s", CARD)
    assert [event["event"] for event in lines(capsys)] == ["ours", "started"]


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_an_exception_is_types_and_places_without_messages(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.logger("app.x").error("failed", exc_info=raised(RuntimeError(CARD), KeyError(CARD)))
    logging.getLogger("library").error("failed", exc_info=raised(RuntimeError(CARD)))
    text = capsys.readouterr().err
    ours, theirs = map(json.loads, text.splitlines())
    assert ours["exception"] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert theirs["exception"] == ["builtins.RuntimeError"]
    assert any("raised" in frame for frame in ours["frames"])
    assert CARD not in text


def test_values_that_are_not_json_are_named_by_type_and_long_ones_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.logger("app.x").info("odd", value=raised(ValueError(CARD)), long="x" * 5_000)
    (event,) = lines(capsys)
    assert event["value"] == "builtins.ValueError"
    assert len(event["long"]) == 300


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        logs.configure("hush")


async def test_an_unforeseen_failure_is_logged_once_without_contents(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")

    def fail() -> object:
        raise RuntimeError(CARD)

    async with client(build([], fail)) as http:
        answer = await http.get("/v1/failing", headers={"Authorization": f"Bearer {CARD}"}, params={"q": CARD})
    assert answer.status_code == 500
    text = capsys.readouterr().err
    events = [event for event in map(json.loads, text.splitlines()) if event["level"] == "error"]
    assert [event["event"] for event in events] == ["unexpected_error"]
    assert events[0]["route"] == "/v1/failing"
    assert events[0]["exception"][0] == "builtins.RuntimeError"
    assert CARD not in text
