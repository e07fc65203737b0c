"""The documentation pages in a headless Chromium: what is pressed works, and nothing comes from elsewhere."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.live import Live, live_service

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these the browser itself calls home at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADJUDICATE = "#operations-adjudications-judge_facts_v1_adjudications_post"
FILE = "#operations-cases-file_claim_v1_cases_post"


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("No browser: .ci/run installs chromium from Debian's packages.")
    if found is None:
        pytest.skip("no chromium or chrome on this machine, so the documentation pages were not looked at")
    return found


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = _browser()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=QUIET)
        yield launched
        await launched.close()


@pytest.fixture
async def live(database_url: str) -> AsyncIterator[Live]:
    with live_service(database_url) as service:
        yield service


async def _opened(browser: Browser, live: Live, path: str) -> tuple[Page, list[str]]:
    """A page, and the addresses from which anything really came."""
    page = await browser.new_page(viewport={"width": 1280, "height": 1600})
    came_from: list[str] = []
    page.on("response", lambda response: came_from.append(response.url))
    await page.goto(f"{live.url}{path}")
    return page, came_from


async def _authorise(page: Page, key: str) -> None:
    await page.click(".auth-wrapper .authorize")
    await page.fill(".auth-container input[type=text]", key)
    await page.click(".auth-container .modal-btn.authorize")
    await page.click(".auth-container .btn-done")


async def _execute(page: Page, operation: str) -> tuple[str, str]:
    """Press "Execute" on the example as it stands; the status and the body that the page shows."""
    await page.click(f"{operation} .opblock-summary-control")
    await page.click(f"{operation} .execute")
    answer = page.locator(f"{operation} .live-responses-table .response").first
    await answer.wait_for()
    status = await answer.locator(".response-col_status").inner_text()
    body = await answer.locator(".response-col_description code.language-json").first.inner_text()
    return status.strip(), body


def _only_from(live: Live, came_from: list[str]) -> bool:
    home = urlsplit(live.url).netloc
    return all(urlsplit(url).netloc in {home, ""} for url in came_from)


async def test_pressing_execute_shows_a_decision(browser: Browser, live: Live) -> None:
    page, came_from = await _opened(browser, live, "/docs")
    await page.wait_for_selector(ADJUDICATE)
    await _authorise(page, live.key)
    status, body = await _execute(page, ADJUDICATE)
    assert status == "200"
    decision = json.loads(body)
    assert decision["outcome"] == "approve"
    assert decision["decisive_rule"] == "undelivered-per-log"
    assert _only_from(live, came_from)


async def test_a_claim_can_be_filed_from_the_page(browser: Browser, live: Live) -> None:
    page, _ = await _opened(browser, live, "/docs")
    await page.wait_for_selector(FILE)
    await _authorise(page, live.key)
    status, body = await _execute(page, FILE)
    assert status == "201"
    assert json.loads(body)["decision"]["outcome"] == "approve"


async def test_without_a_key_the_page_shows_a_problem(browser: Browser, live: Live) -> None:
    page, _ = await _opened(browser, live, "/docs")
    await page.wait_for_selector(ADJUDICATE)
    status, body = await _execute(page, ADJUDICATE)
    assert status.startswith("401")
    assert json.loads(body)["code"] == "unauthenticated"


async def test_a_developer_finds_the_chinese_term_beside_the_english_one(browser: Browser, live: Live) -> None:
    page, _ = await _opened(browser, live, "/docs")
    await page.wait_for_selector(ADJUDICATE)
    text = await page.inner_text("#swagger-ui")
    for term in ("试算退款", "提交退款申请", "退款事由目录", "案件", "回调"):
        assert term in text


async def test_redoc_renders_the_whole_document(browser: Browser, live: Live) -> None:
    page, came_from = await _opened(browser, live, "/redoc")
    await page.wait_for_selector("#redoc h2")
    text = await page.inner_text("#redoc")
    assert "试算退款" in text
    assert "/v1/adjudications" in text
    assert "case.filed" in text, "the webhooks are part of the document"
    assert _only_from(live, came_from)
