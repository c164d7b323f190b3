"""The page in a browser, on the whole running site: what a trader sees and does.

Every test also fails on an error in the console of the browser, a violation of the
Content-Security-Policy among them.
"""

import os
import re
import shutil
import signal as signal_numbers
import time
import uuid

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.chaos.ticks import made_up_ticks

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
USER, PASSWORD = "admin", "admin-demo"
STRATEGY = "browser"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a page as somebody new; what its console complains of fails the test."""
    contexts, complaints = [], []

    def open_one(**options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type in {"error", "warning"} and complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page, site):
    """The overview, signed in and live."""
    return sign_in(open_page(), site)


@pytest.fixture
def api(site, trade_key):
    """A client that may trade and control; it leaves the kill switch released."""
    with site.client(trade_key) as client:
        yield client
        if client.get("/api/v1/system").json()["kill_switch"]["active"]:
            kill(client, active=False)


def sign_in(page, site, *, live=True):
    page.goto(site.url)
    page.get_by_label("Name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    if live:
        expect(page.locator("#connection-text")).to_have_text("live", timeout=20_000)
    return page


def kill(api, *, active):
    api.post("/api/v1/system/kill-switch", json={"active": active, "reason": "test"})


def signal(api, **changes):
    body = {
        "signal_id": uuid.uuid4().hex,
        "strategy": STRATEGY,
        "account": "paper",
        "symbol": "AAPL",
        "action": "BUY",
        "quantity": "7",
    }
    return api.post("/api/v1/signals", json=body | changes).json()


def row(page, kind, key):
    return page.locator(f'[data-rows="{kind}"] [data-key="{key}"]')


def cell(row, field):
    return row.locator(f'[data-field="{field}"]')


def position(api):
    found = api.get("/api/v1/positions", params={"strategy": STRATEGY, "symbol": "AAPL"}).json()
    return found["results"][0]


def filled(api, **changes):
    """Trade, and return the order once it is filled."""
    order_id = signal(api, **changes)["order"]["id"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        order = api.get(f"/api/v1/orders/{order_id}").json()
        if order["status"] == "FILLED":
            return order
        time.sleep(0.1)
    raise AssertionError(order)


def test_a_fill_and_its_position_appear_without_a_reload(page, api):
    page.evaluate("window.notReloaded = true")

    order = filled(api)
    (fill,) = order["fills"]
    shown = row(page, "fill", fill["id"])

    for field in ("symbol", "side", "quantity", "price", "commission"):
        expect(cell(shown, field)).to_have_text(fill[field])
    expect(cell(row(page, "order", order["id"]), "status")).to_have_text("FILLED")
    expect(page.locator("#announcer")).to_contain_text("AAPL")
    held = row(page, "position", position(api)["id"])
    before = int(cell(held, "quantity").inner_text())
    filled(api, quantity="3")
    expect(cell(held, "quantity")).to_have_text(str(before + 3))
    assert page.evaluate("window.notReloaded")


def test_live_and_first_paint_are_the_same_row(page, api):
    order = filled(api)
    shown = row(page, "order", order["id"])
    expect(cell(shown, "status")).to_have_text("FILLED")
    live = shown.inner_text()

    page.reload()

    assert row(page, "order", order["id"]).inner_text() == live


def test_totals_are_the_apis_to_the_last_digit(page, api):
    filled(api, quantity="2")
    filled(api, action="SELL", quantity="1")
    totals = {total["currency"]: total for total in api.get("/api/v1/pnl").json()["total"]}
    tile = row(page, "tile", "USD")

    for field in ("realized_pnl", "commission"):
        expect(cell(tile, field)).to_have_text(totals["USD"][field])


def test_a_refusal_shows_every_failed_check(page, api):
    answer = signal(api, quantity="200000", symbol="NIFTY")
    shown = row(page, "signal", answer["signal"]["id"])
    unmet = [c for c in answer["decision"]["checks"] if c["status"] != "PASSED"]

    expect(cell(shown, "status").first).to_have_text("REFUSED")
    assert len(unmet) > 1
    expect(shown.locator(".checks b")).to_have_text([check["name"] for check in unmet])


def test_a_resting_order_is_cancelled_from_its_row(page, api):
    order = signal(api, order_type="LIMIT", limit_price="1.00")["order"]
    shown = row(page, "order", order["id"])
    expect(cell(shown, "status")).to_have_text("ACCEPTED")

    shown.get_by_role("button", name="Cancel").click()

    expect(cell(shown, "status")).to_have_text("CANCELLED")
    expect(shown.get_by_role("button", name="Cancel")).to_be_hidden()
    assert api.get(f"/api/v1/orders/{order['id']}").json()["status"] == "CANCELLED"


def test_the_kill_dialog_needs_a_reason_and_the_bar_says_it(page, api):
    page.keyboard.press("Shift+K")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Engage kill switch").click()
    assert not api.get("/api/v1/system").json()["kill_switch"]["active"]

    dialog.get_by_label("Reason").fill("quotes look odd")
    dialog.get_by_role("button", name="Engage kill switch").click()

    expect(page.locator("#shell .killed")).to_contain_text("quotes look odd")
    assert api.get("/api/v1/system").json()["kill_switch"]["level"] == "HALTED"

    page.get_by_role("button", name="Release").click()
    dialog.get_by_label("Reason").fill("they are fine")
    dialog.get_by_role("button", name="Release").click()
    expect(page.locator("#shell .killed")).to_be_hidden()
    assert not api.get("/api/v1/system").json()["kill_switch"]["active"]


def test_a_kill_elsewhere_shows_on_every_page_at_once(page, open_page, site, api):
    other = sign_in(open_page(), site)

    kill(api, active=True)

    for each in (page, other):
        expect(each.locator("#shell[data-killed]")).to_be_visible(timeout=2_000)


def test_silence_is_shown_and_made_up_for(open_page, site, api):
    page, quiet = open_page(), []

    def carry(socket):
        server = socket.connect_to_server()
        server.on_message(lambda message: quiet or socket.send(message))

    page.route_web_socket("**/ws/stream*", carry)
    sign_in(page, site)

    quiet.append(True)
    missed = filled(api)
    expect(page.locator("[data-panel][data-stale]").first).to_be_visible(timeout=15_000)
    expect(page.locator("[data-panel] [data-age]").first).to_contain_text("stale")
    expect(page.locator("#connection-text")).to_have_text("offline")
    quiet.clear()

    expect(row(page, "order", missed["id"])).to_be_visible(timeout=20_000)
    expect(page.locator("[data-panel][data-stale]")).to_have_count(0)


def lights(page, health):
    return page.locator(f'.light[data-health="{health}"]')


@pytest.mark.parametrize("loss", ["silence", "close"])
def test_offline_is_said_within_two_seconds_and_no_light_stays_green(open_page, site, loss):
    page, sockets, lost = open_page(), [], []

    def carry(socket):
        sockets.append(socket)
        if lost and loss == "close":
            socket.close()
            return
        server = socket.connect_to_server()
        server.on_message(lambda message: lost or socket.send(message))

    page.route_web_socket("**/ws/stream*", carry)
    sign_in(page, site)
    expect(lights(page, "good").first).to_be_visible()

    lost.append(True)
    if loss == "close":
        sockets[-1].close()

    expect(page.locator("#connection-text")).to_have_text("offline", timeout=2_900)
    expect(lights(page, "good")).to_have_count(0, timeout=500)
    expect(lights(page, "unknown").first).to_contain_text("unknown")
    lost.clear()
    expect(page.locator("#connection-text")).to_have_text("live", timeout=30_000)
    expect(lights(page, "good").first).to_be_visible()


def test_the_risk_page_says_so_too(page, site):
    page.goto(f"{site.url}/risk/")
    expect(lights(page, "good").first).to_be_visible()

    page.route("**/risk/state", lambda route: None)

    expect(page.locator("#connection-text")).to_have_text("offline", timeout=4_500)
    expect(lights(page, "good")).to_have_count(0, timeout=500)
    page.unroute("**/risk/state")
    expect(page.locator("#connection-text")).to_have_text("live")
    expect(lights(page, "good").first).to_be_visible()


def test_what_was_asked_can_be_withdrawn_while_it_is_at_work(page, api, site):
    mine = {"strategy": "to-withdraw"}
    order = signal(api, order_type="LIMIT", limit_price="1.00", **mine)["order"]["id"]
    page.goto(f"{site.url}/risk/")
    os.kill(site.pid("worker"), signal_numbers.SIGSTOP)  # else it is done before anyone can
    try:
        action = api.post("/api/v1/orders/cancel-all", json=mine).json()
        shown = page.get_by_role("listitem").filter(has_text="to-withdraw")
        shown.get_by_role("button", name="Withdraw").click()
        page.get_by_role("dialog").get_by_label("Reason").fill("it may stay")
        page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
        expect(shown.locator(".status")).to_have_text("WITHDRAWN")
        assert api.get(f"/api/v1/actions/{action['id']}").json()["status"] == "WITHDRAWN"
    finally:
        os.kill(site.pid("worker"), signal_numbers.SIGCONT)
        api.post(f"/api/v1/orders/{order}/cancel", json={})


def test_a_lost_frame_is_fetched_again(open_page, site, api):
    page, lost = open_page(), []

    def carry(socket):
        server = socket.connect_to_server()

        def forward(message):
            if not lost and '"type": "fill"' in message:
                lost.append(message)
            else:
                socket.send(message)

        server.on_message(forward)

    page.route_web_socket("**/ws/stream*", carry)
    sign_in(page, site)

    (fill,) = filled(api)["fills"]

    expect(row(page, "fill", fill["id"])).to_be_visible()
    assert lost


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 1024, 480])
def test_every_width_and_theme(open_page, site, scheme, width):
    page = sign_in(open_page(viewport={"width": width, "height": 900}, color_scheme=scheme), site)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_role("button", name="Kill")).to_be_in_viewport()


def test_the_theme_is_remembered_here_and_in_the_console(page, site):
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(ground)

    page.get_by_role("button", name="color theme").click()
    chosen = page.evaluate(ground)
    page.reload()

    assert before != chosen == page.evaluate(ground)
    page.goto(f"{site.url}/admin/")
    assert page.evaluate(ground) == chosen


def test_the_console_has_no_violation(page, site):
    page.goto(f"{site.url}/admin/")
    links = page.locator("#content-main a").evaluate_all("all => all.map(a => a.href)")

    for link in {link for link in links if "/admin/" in link}:
        page.goto(link)
    assert len(links) > 10


def test_the_apis_documentation_opens_within_the_policy(page, site):
    page.goto(f"{site.url}/api/v1/docs/")

    expect(page.locator(".opblock").first).to_be_visible(timeout=15_000)


def test_without_javascript_the_page_still_tells(open_page, site):
    page = sign_in(open_page(java_script_enabled=False), site, live=False)

    expect(page.get_by_role("heading", name="Positions")).to_be_visible()
    expect(page.locator('[data-rows="quote"] tbody tr').first).to_be_visible()


def test_a_replayed_day_is_drawn_with_its_fills_marked(page, site, api, tmp_path):
    file = made_up_ticks(tmp_path / "eurusd_tick_2020-01-06.csv")
    replayed = site.manage("replay_market", file, "--strategy", "cross:1000").stdout
    fills = re.search(r"^fills: (\d+)$", replayed, re.MULTILINE)[1]
    account = re.search(r"^account: (\S+)$", replayed, re.MULTILINE)[1]

    page.reload()
    page.select_option("#price-choice", "EURUSD.R")
    expect(page.locator("#price-title")).to_have_text("EURUSD.R, 2020-01-06")
    expect(page.locator("#price-caption")).to_have_attribute("data-fills", fills)
    expect(page.locator("#price-chart canvas")).to_be_visible()
    page.select_option("#day-choice", f"{account} · USD")
    expect(page.locator("#day-title")).to_have_text("Net PnL and exposure, trading day 2020-01-06")
    expect(page.locator("#day-caption")).to_have_attribute("data-points", re.compile(r"1[0-9]"))
    expect(page.locator("#exposure-chart canvas")).to_be_visible()
    made = api.get("/api/v1/pnl").json()
    for field in ("realized_pnl", "commission"):
        shown = cell(row(page, "tile", "USD"), field)
        expect(shown).to_have_text({t["currency"]: t for t in made["total"]}["USD"][field])


def test_greeks_of_the_page_are_the_api_s(page, api, site):
    """Both move: they are compared until they show the same second."""
    straddle = site.chain(api)["strikes"][20]
    for right in ("call", "put"):
        signal = {"strategy": STRATEGY, "symbol": straddle[right]["symbol"], "action": "BUY"}
        key = {"signal_id": uuid.uuid4().hex, "quantity": "65"}
        answer = api.post("/api/v1/signals", json=signal | key, headers={"Prefer": "wait=10"})
        assert answer.json()["status"] == "FILLED"
    row = page.locator('[data-rows="greeks"] tbody tr', has_text="NIFTY")
    expect(row).to_be_visible()

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        shown = {
            name: row.locator(f'[data-field="{name}"]').inner_text()
            for name in ("delta", "gamma", "vega", "theta", "rho")
        }
        told = {r["underlying"]: r for r in api.get("/api/v1/greeks").json()["by_underlying"]}
        if shown == {
            name: f"{told['NIFTY'][name]:.{4 if name == 'gamma' else 2}f}" for name in shown
        }:
            break
    else:
        raise AssertionError((shown, told["NIFTY"]))
    assert float(shown["vega"])


def test_a_group_is_watched_and_closed_as_one(page, api, site):
    strike = site.chain(api)["strikes"][20]
    legs = [
        {"symbol": strike[right]["symbol"], "action": "BUY", "quantity": "65"}
        for right in ("call", "put")
    ]
    strategy = f"straddle.{uuid.uuid4().hex[:8]}"
    body = {"signal_id": "s", "strategy": strategy, "type": "STRADDLE", "legs": legs}
    assert api.post("/api/v1/groups", json=body).status_code == 202
    row = page.locator('[data-rows="group"] tbody tr', has_text=strategy)
    status = row.locator('[data-field="status"]')
    expect(status).to_have_text("FILLED", timeout=15_000)
    expect(row.locator('[data-field="legs"]')).to_contain_text("65 NIFTY")

    row.get_by_role("button", name="Close").click()
    row.get_by_role("button", name="Close all legs?").click()

    expect(status).to_have_text("CLOSED", timeout=15_000)
    expect(row.get_by_role("button")).to_be_hidden()
