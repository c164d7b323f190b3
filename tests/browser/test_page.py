"""The live page in a real browser: what a trader sees without touching it."""

import itertools
import shutil
import time

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_ids = itertools.count()

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield running
        running.close()


@pytest.fixture
def page(browser, site):
    """The overview, signed in as the admin; whatever the console says must be nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    said = []
    opened.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda e: said.append(str(e)))
    opened.goto(site.url)
    opened.fill("#id_username", "admin")
    opened.fill("#id_password", "admin-demo")
    opened.click("button[type=submit]")
    opened.wait_for_selector("#connection[data-state=live]")
    yield opened
    assert said == []
    context.close()


@pytest.fixture
def post(site, trade_key):
    """Submit a signal over REST."""

    def send(**values):
        signal = {"signal_id": f"page-{next(_ids)}", "strategy": "page", "symbol": "EURUSD"}
        with site.client(trade_key) as client:
            answer = client.post("/api/v1/signals", json=signal | values)
        assert answer.status_code == 202, answer.text
        return answer.json()["order"]["id"]

    return send


def test_a_signal_s_fill_and_position_appear_without_a_reload(page, post):
    page.evaluate("window.untouched = true")
    order = post(action="BUY", quantity="3000")

    row = page.locator(f"#orders [data-key='{order}'][data-status=FILLED]")
    row.wait_for(timeout=10_000)
    assert row.locator("[data-field=filled_quantity]").inner_text() == "3000"
    fill = page.locator("#fills tr", has=page.locator(f"[data-field=order]:text-is('{order}')"))
    fill.first.wait_for()
    position = page.locator("#positions tr", has_text="page").filter(has_text="EURUSD")
    before = position.locator("[data-field=quantity]").inner_text()
    post(action="BUY", quantity="1000")
    deadline = time.monotonic() + 10
    while position.locator("[data-field=quantity]").inner_text() == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert page.evaluate("window.untouched")


def test_a_resting_order_is_cancelled_from_its_row(page, post):
    order = post(action="BUY", quantity="1000", order_type="LIMIT", limit_price="0.5")

    row = page.locator(f"#orders [data-key='{order}']")
    row.locator("[data-cancel]").click(timeout=10_000)
    page.locator(f"#orders [data-key='{order}'][data-status=CANCELLED]").wait_for(timeout=10_000)


def test_the_kill_switch_asks_for_a_reason_and_turns_the_bar(page):
    page.click("#kill")
    page.fill("#reason", "a drill")
    page.click("#kill-confirm")
    page.wait_for_selector("#shell[data-killed=yes]")
    assert "a drill" in page.inner_text("#banner")
    page.click("#kill")
    page.fill("#reason", "over")
    page.click("#kill-confirm")
    page.wait_for_selector("#shell[data-killed=no]")


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 1024, 480])
def test_no_width_scrolls_sideways(page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")

    assert not wide


@pytest.mark.parametrize(
    "path", ["", "risk/systemcontrol/", "orders/order/", "risk/risklimit/add/", "brokers/quote/"]
)
def test_the_console_keeps_to_its_policy(page, site, path):
    page.goto(f"{site.url}/admin/{path}")

    assert page.locator("#content").is_visible()


def test_the_api_s_documentation_opens_within_the_policy(page, site):
    page.goto(f"{site.url}/api/v1/docs/")

    page.wait_for_selector(".opblock", timeout=15_000)
