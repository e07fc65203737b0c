"""Files of evidence: their bytes come in, and go out again as a download."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request
from fastapi.openapi.models import Example
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.answers import json_answer
from app.api.dependencies import CasesCaller, Transaction, refuse_unknown_parameters
from app.api.schemas.files import FileIn, StoredFileOut
from app.config import Config
from app.errors import Conflict, Fault, Invalid, TooSlow, UnsupportedFile
from app.files.cabinet import Cabinet
from app.files.media_types import MediaType
from app.files.names import name_for
from app.ids import show
from app.services import evidence_files
from app.services.example_cases import AWAITING_EVIDENCE, EXAMPLE_FILE, EXAMPLE_FILE_SIZE
from app.services.showing import CASE, FILE, file_document
from app.store.evidence_files import Announced, Kept

router = APIRouter(prefix="/v1", tags=["cases"], dependencies=[Depends(refuse_unknown_parameters)])

_ANY_TYPE: Final = "application/octet-stream"
_BINARY: Final = {"type": "string", "format": "binary"}
_TO_BEGIN: Final = timedelta(seconds=60)
_PER_MIB: Final = timedelta(seconds=10)
# The file that the sandbox awaits, and where it is when it was sent: as first evidence of its case.
_EXAMPLE_UPLOAD: Final[dict[str, Example]] = {
    "example": {
        "summary": f"演示文件：{EXAMPLE_FILE_SIZE} 字节文本 · The sandbox awaits {EXAMPLE_FILE_SIZE} bytes of text",
        "value": show(FILE, EXAMPLE_FILE),
    }
}
_EXAMPLE_CASE: Final[dict[str, Example]] = {"example": {"value": show(CASE, AWAITING_EVIDENCE)}}
_FIRST: Final[dict[str, Example]] = {"example": {"value": 1}}
# What a file contains is never ours to vouch for: it is saved, not shown, and kept by nobody in between.
_HARMLESS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Cache-Control": "private, no-store",
}


class AfterTransaction(Response):
    """An answer that is made when the route's transaction has ended: while bytes move, no connection is held."""

    def __init__(self, make: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the answer and send it; a Refusal is answered like any other."""
        answer = await self._make()
        await answer(scope, receive, send)


async def _cabinet(request: Request, _: CasesCaller) -> Cabinet:
    cabinet: Cabinet | None = request.app.state.cabinet
    if cabinet is None:
        raise files_off()
    return cabinet


FilesKept = Annotated[Cabinet, Depends(_cabinet)]


def files_off() -> Conflict:
    """This copy of the service was given no place for files."""
    return Conflict(
        "files_off",
        en="This service has no place for files: its operator has to set KMR_FILES_URL. Send evidence without files.",
        zh="本服务未配置文件存储（需由运维设置 KMR_FILES_URL），请提交不带文件的证据。",
    )


def refuse_unkeepable(files: Sequence[tuple[str, FileIn]], config: Config) -> None:
    """For files as they are announced, each with the pointer to it: Conflict `files_off`, or Invalid for a size."""
    if files and config.files_url is None:
        raise files_off()
    en = f"Files may have {config.largest_file} bytes at most."
    zh = f"文件不得超过 {config.largest_file} 字节。"
    faults = [Fault(f"{at}/size", "too_large", en, zh) for at, file in files if file.size > config.largest_file]
    if faults:
        raise Invalid(*faults)


UPLOAD_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "已存储，案件已重新裁定 · Stored, and the case judged anew"},
    403: {"description": "无权限，或上传期限已过 · No such scope, or the time for this file is over"},
    408: {"description": "传输过慢 · The bytes came too slowly"},
    409: {"description": "该文件已存储，或案件不再接受证据 · Stored already, or the case takes no evidence any more"},
    413: {"description": "文件过大 · The file is too large"},
    415: {"description": "文件类型不受支持 · Not a type that is taken, or something appended to it"},
    422: {"description": "长度、哈希或类型与声明不符 · Not the length, hash or type that was announced"},
}


@router.put(
    "/uploads/{upload_id}",
    status_code=201,
    summary="上传证据文件 · Upload a file of evidence",
    response_model=StoredFileOut,
    responses=UPLOAD_ANSWERS,
    openapi_extra={"requestBody": {"required": True, "content": {_ANY_TYPE: {"schema": _BINARY}}}},
)
async def upload_file(
    upload_id: Annotated[str, Path(description="文件编号.", openapi_examples=_EXAMPLE_UPLOAD)],
    request: Request,
    connection: Transaction,
    caller: CasesCaller,
    cabinet: FilesKept,
) -> Response:
    """The bytes themselves, once, as announced with the evidence; the case is judged anew with them.

    上传文件原始字节（非表单），每个文件仅可上传一次。可接受 PNG、JPEG、WebP、PDF、MP4 和 UTF-8 文本，类型按内容识别，
    须与声明一致。Retry a failed upload in the same way; what was stored is answered with 409. Bytes that are whole only
    after the case's time for evidence, or after it was decided, are not kept.
    举证期限届满或案件已裁定后到达的文件不予接收。
    """
    site_id, engine = caller.site.site_id, request.app.state.engine
    expected = await evidence_files.announced(connection, site_id, upload_id)
    _check_headers(request, expected)

    async def stored() -> Response:
        found = await _in_time(expected, evidence_files.take_in(cabinet, site_id, expected, request.stream()))
        kept = await evidence_files.keep(engine, cabinet, site_id, expected, found)
        return json_answer(_document(kept), 201, {"Location": _place(kept)})

    return AfterTransaction(stored)


@router.get(
    "/cases/{case_id}/evidence/{n}/file",
    summary="下载证据文件 · Download a file of evidence",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "文件 · The bytes, to be saved",
            "content": {each.value: {"schema": _BINARY} for each in MediaType},
        },
        409: {"description": "未配置文件存储 · This service has no place for files"},
    },
)
async def download_file(
    case_id: Annotated[str, Path(description="案件编号.", openapi_examples=_EXAMPLE_CASE)],
    n: Annotated[
        int, Path(description="证据序号 · As the case lists it.", ge=1, le=1_000_000, openapi_examples=_FIRST)
    ],
    connection: Transaction,
    caller: CasesCaller,
    cabinet: FilesKept,
) -> Response:
    """The file of one piece of evidence, always as an attachment. 下载证据文件，不在浏览器内打开。"""
    kept = await evidence_files.file_of_evidence(connection, caller.site.site_id, case_id, n)

    async def bytes_of_it() -> Response:
        blocks = cabinet.read(kept.stored_key)
        first = await anext(blocks)
        # Text is UTF-8, as was found; the framework adds that to its type by itself.
        return StreamingResponse(_rejoined(first, blocks), 200, _headers_of(kept), kept.file.media_type)

    return AfterTransaction(bytes_of_it)


def _check_headers(request: Request, expected: Announced) -> None:
    """What can be refused before any byte has come."""
    told = request.headers.get("content-type", _ANY_TYPE).partition(";")[0].strip().lower()
    if told not in {_ANY_TYPE, expected.file.media_type}:
        raise UnsupportedFile
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        evidence_files.refuse_other_size(expected, int(length))


async def _in_time(expected: Announced, work: Awaitable[Any]) -> Any:
    """A caller that sends a byte now and then must not hold a place for ever."""
    limit = _TO_BEGIN + _PER_MIB * (expected.file.size / 2**20)
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await work
    except TimeoutError:
        raise TooSlow from None


async def _rejoined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in rest:
        yield block


def _document(kept: Kept) -> dict[str, Any]:
    return {
        "case_id": show(CASE, kept.case_id),
        "n": kept.n,
        "reused": kept.reused,
        "file": file_document(kept.file),
    }


def _place(kept: Kept) -> str:
    return f"/v1/cases/{show(CASE, kept.case_id)}/evidence/{kept.n}/file"


def _headers_of(kept: Kept) -> dict[str, str]:
    name = name_for(kept.file.name, MediaType(kept.file.media_type))
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return {**_HARMLESS, "Content-Disposition": disposition, "Content-Length": str(kept.file.size)}
