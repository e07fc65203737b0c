"""The pages come whole from this service, and may ask nobody else."""

import re

import pytest
from fastapi import FastAPI

from app.api import documentation
from app.api.problems import STATUSES
from tests.api.foundations_app import build, client


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/docs/problems"])
async def test_all_that_a_page_names_is_served_here(page: str) -> None:
    async with client(build([])) as http:
        answer = await http.get(page)
        assert answer.status_code == 200
        named = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', answer.text)
        assert page == "/docs/problems" or len(named) >= 2
        for address in named:
            assert "//" not in address
            part = await http.get(answer.url.join(address))
            assert part.status_code == 200
            assert len(part.content) > 50


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/docs/problems"])
async def test_the_browser_is_told_to_ask_nobody_else(page: str) -> None:
    async with client(build([])) as http:
        answer = await http.get(page)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "http" not in policy
    assert "<script>" not in answer.text


async def test_swagger_is_set_up_to_try_things_out() -> None:
    async with client(build([])) as http:
        script = await http.get("/docs/swagger.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for setting in (
        '"persistAuthorization": true',
        '"tryItOutEnabled": true',
        '"docExpansion": "list"',
        '"deepLinking": true',
        '"validatorUrl": null',
    ):
        assert setting in script.text


async def test_the_description_is_openapi_3_1_and_does_not_list_the_pages() -> None:
    async with client(build([])) as http:
        document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/claims" in document["paths"]
    assert not any(path.startswith(("/docs", "/redoc")) for path in document["paths"])


async def test_every_type_of_problem_leads_somewhere_in_both_languages() -> None:
    async with client(build([])) as http:
        chinese = await http.get("/docs/problems")
        english = await http.get("/docs/problems", headers={"Accept-Language": "en"})
        problem = (await http.get("/nowhere")).json()
    assert f'id="{problem["type"].removeprefix("/docs/problems#")}"' in chinese.text
    assert chinese.text.count("<dt id=") == english.text.count("<dt id=") == len(STATUSES)
    assert (chinese.headers["content-language"], english.headers["content-language"]) == ("zh-CN", "en")
    assert "未找到" in chinese.text
    assert "Not found" in english.text


def test_an_app_with_the_frameworks_own_pages_is_refused() -> None:
    with pytest.raises(ValueError, match="docs_url=None"):
        documentation.install(FastAPI())


async def test_a_title_is_text_not_markup() -> None:
    app = FastAPI(docs_url=None, redoc_url=None, title="<script>x</script>")
    documentation.install(app)
    async with client(app) as http:
        assert "<script>x" not in (await http.get("/docs")).text
