"""The evidence bundle of a case, as a download."""

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Request
from starlette.responses import Response, StreamingResponse

from app.api.cases import EXAMPLE_ID
from app.api.dependencies import CasesCaller, Transaction, refuse_unknown_parameters
from app.api.evidence_files import AfterTransaction
from app.files.cabinet import Cabinet
from app.ids import read
from app.services.bundle.dossier import read_dossier
from app.services.bundle.packing import Bundle, bundle_of
from app.services.showing import CASE

router = APIRouter(prefix="/v1/cases", tags=["cases"], dependencies=[Depends(refuse_unknown_parameters)])

_ZIP: Final = "application/zip"
_TAG: Final = {"description": "版本标签 · Stands for the very bytes.", "schema": {"type": "string"}}
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "证据包 · The archive, to be saved",
        "content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"ETag": _TAG},
    },
    304: {"description": "未变更 · The archive is still the one that the caller has", "headers": {"ETag": _TAG}},
    413: {"description": "材料过大 · The case has more than a bundle holds: 3 GiB of files, 64 MiB of decisions"},
}


@router.get(
    "/{case_id}/bundle", summary="下载证据包 · Download the bundle", response_class=StreamingResponse, responses=ANSWERS
)
async def download_bundle(
    case_id: Annotated[str, Path(description="案件编号.", openapi_examples=EXAMPLE_ID)],
    request: Request,
    connection: Transaction,
    caller: CasesCaller,
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", description="版本标签 · 304 if this is still its `ETag`.")
    ] = None,
) -> Response:
    """One archive for 12315, a payment channel or a court: cover, timeline, decisions, records, files, hashes; Chinese.

    案件的全部材料（封面、证据链与时间线、历次裁定、当事人行为、平台记录、证据文件、哈希清单），打包为一个 zip。
    状态截至案件最近一次变更；案件未变更，字节不变。A file that the store has lost is named in the archive as missing.
    """
    dossier = await read_dossier(connection, caller.site, read(CASE, case_id))
    cabinet: Cabinet | None = request.app.state.cabinet

    async def answer() -> Response:
        bundle = await bundle_of(dossier, cabinet)
        headers = {"ETag": f'"{bundle.tag}"', "Cache-Control": "private, no-store"}
        if _is_known(headers["ETag"], if_none_match):
            return Response(status_code=304, headers=headers)
        return StreamingResponse(bundle.blocks(), 200, {**headers, **_headers_of(bundle)}, _ZIP)

    return AfterTransaction(answer)


def _is_known(tag: str, if_none_match: str | None) -> bool:
    known = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    return tag in known or known == ["*"]


def _headers_of(bundle: Bundle) -> dict[str, str]:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(bundle.name, safe='')}"}
    if bundle.length is not None:
        headers["Content-Length"] = str(bundle.length)
    return headers
