"""Structured logs: one JSON object a line, naming events and ids, never contents.

Exceptions are written as types and places. Their messages are left out, since a driver's or a parser's message may
quote what a caller sent. JSON in ASCII keeps control characters and terminal escapes from acting on a reader.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

_TRUSTED = ("app", "uvicorn.error")
_LONGEST_TEXT = 300
_MOST_FRAMES = 20
_MOST_CAUSES = 5
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")

ExceptionTriple = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(level: str) -> None:
    """Send our events to standard error from `level` ("debug" … "error") upwards, those of libraries from warning.

    Below warning, libraries write contents: httpx whole addresses, SQLAlchemy every parameter.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_of_libraries(), processors=_to_one_line())
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    for name in _TRUSTED:
        logging.getLogger(name).setLevel(number)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> FilteringBoundLogger:
    """A logger: `logger(__name__).info("case_filed", case_id=…)`. Event names are constants, values are ids."""
    return cast(FilteringBoundLogger, structlog.get_logger(name))


def _shared() -> list[Processor]:
    return [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, _STAMP]


def _of_libraries() -> list[Processor]:
    return [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, _STAMP]


def _to_one_line() -> list[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _describe_exception,
        _bound_texts,
        structlog.processors.JSONRenderer(ensure_ascii=True, default=_type_name),
    ]


def _describe_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    triple = _triple_of(event.pop("exc_info", None))
    if triple is not None:
        event["exception"] = [_type_name(error) for error in _causes(triple[1])]
        event["frames"] = _places(triple[2])
    return event


def _triple_of(given: object) -> ExceptionTriple | None:
    """The exception behind the shapes that `exc_info` may have: an exception, a triple, or True."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    triple = given if isinstance(given, tuple) else sys.exc_info() if given else None
    return cast(ExceptionTriple, triple) if triple and triple[1] is not None else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_MOST_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _bound_texts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _bounded(value) for name, value in event.items()}


def _bounded(value: Any) -> Any:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value


def _type_name(value: object) -> str:
    """What stands for a value that is not JSON: its type. Its text might hold contents."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
