"""The pages as the server paints them, and what they are made of."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from execution_site.dashboard import overview
from execution_site.models import ProcessStatus
from execution_site.templatetags import trading
from orders.models import ApiClient
from orders.sending import submission
from risk import control
from risk.facts import KillLevel
from tests.orders.api.signals import FINE, URL
from tests.pages import page_text


class Cells(HTMLParser):
    """The text of each data-field outside <template>, by row kind and key."""

    def __init__(self, html):
        super().__init__()
        self.rows, self._path, self._row = {}, [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        void = tag in {"meta", "link", "img", "input"}
        if "data-rows" in attrs and "template" not in (tag, *self._tags()):
            self.kind = attrs["data-rows"]
        if "data-key" in attrs and "template" not in self._tags():
            self._row = self.rows.setdefault((self.kind, attrs["data-key"]), {})
        if not void:
            self._path.append((tag, attrs.get("data-field")))

    def handle_endtag(self, tag):
        while self._path and self._path.pop()[0] != tag:
            pass

    def handle_data(self, data):
        field = next((f for _, f in reversed(self._path) if f), None)
        if field and self._row is not None and "template" not in self._tags():
            self._row[field] = self._row.get(field, "") + data

    def _tags(self):
        return [tag for tag, _ in self._path]


@pytest.fixture
def tina(account):
    """A trader at the page: may cancel and kill, sees the one account."""
    user = User.objects.create_user("tina", password="tina-password")
    wanted = Permission.objects.filter(codename__in=["add_signal", "engage_kill"])
    user.user_permissions.set(wanted)
    ApiClient.objects.create(name="tina", user=user).accounts.add(account)
    return user


@pytest.fixture
def page(tina, quote, valkey):
    quote("AAPL", bid=99, ask=101)
    quote("EURUSD", bid="1.08480", ask="1.08490")
    client = Client()
    client.force_login(tina)
    return client


@pytest.fixture
def traded(page, trader_key):
    """One order filled, one refused, one resting."""
    api = Client(headers={"authorization": trader_key})

    def post(**changes):
        answer = api.post(URL, FINE | changes, content_type="application/json").json()
        if order := answer.get("order"):
            submission.transmit(order["id"], now=timezone.now())
        return answer

    filled = post()
    refused = post(signal_id="off-tick", order_type="LIMIT", limit_price="99.001")
    resting = post(signal_id="rest", order_type="LIMIT", limit_price="50")
    return {"filled": filled, "refused": refused, "resting": resting}


def html(client):
    answer = client.get("/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_overview_asks_for_a_sign_in(db):
    answer = Client().get("/")

    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/")


def test_signing_in_and_out(tina):
    client = Client()

    wrong = client.post("/login/", {"username": "tina", "password": "no"})
    right = client.post("/login/", {"username": "tina", "password": "tina-password"})

    assert "do not go together" in wrong.content.decode()
    assert right["Location"] == "/"
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_an_empty_site_says_what_is_missing(tina):
    client = Client()
    client.force_login(tina)

    page = html(client)

    assert "No position yet" in page
    assert 'data-seq="0"' in page


def test_every_number_is_the_apis_string(page, traded):
    rows = Cells(html(page)).rows
    api = {
        kind: page.get(f"/api/v1/{kind}s").json()["results"]
        for kind in ("order", "fill", "position")
    }

    for kind, shown in api.items():
        assert shown
        for row in shown:
            cells = rows[kind, str(row["id"])]
            numbers = {name for name in cells if isinstance(row.get(name), str)} - {
                "created_at",
                "traded_at",
            }
            assert {n: cells[n] for n in numbers} == {n: row[n] for n in numbers}


def test_the_tiles_are_the_apis_totals(page, traded):
    tile = Cells(html(page)).rows["tile", "USD"]
    (total,) = page.get("/api/v1/pnl").json()["total"]

    assert total.pop("other_commissions") == {}  # what is charged in another currency has no tile
    assert {name: tile[name] for name in total} == total
    assert tile["exposure"] == "1000"


def test_a_refusal_lists_every_check_that_failed(page, traded):
    rows = Cells(html(page)).rows
    unmet = [c for c in traded["refused"]["decision"]["checks"] if c["status"] != "PASSED"]

    assert unmet
    for check in unmet:
        assert rows["signal", check["name"]]["detail"] == check["detail"]


def test_an_old_working_order_is_shown_first(page, traded, monkeypatch):
    monkeypatch.setattr("orders.reports.selectors.SHOWN", 0)

    shown = [key for kind, key in Cells(html(page)).rows if kind == "order"]

    assert shown == [str(traded["resting"]["order"]["id"])]


def test_each_row_template_is_there_once_for_the_script(page):
    templates = Path(settings.BASE_DIR, "templates/dashboard/rows").glob("*.html")

    assert html(page).count("<template") == len(list(templates))


def test_nothing_inline(page, traded):
    answer = page.get("/")
    text = answer.content.decode()

    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)|https?://", text)


def test_the_kill_switch_is_on_every_page_while_engaged(page):
    released = html(page)
    control.engage_kill(
        level=KillLevel.HALTED, actor="rita", reason="<b>drill</b>", now=timezone.now()
    )
    engaged = html(page)

    assert "data-killed" not in released
    assert 'id="shell" data-killed' in engaged
    assert "&lt;b&gt;drill&lt;/b&gt;" in engaged


def test_an_onlooker_has_no_switches(account):
    user = User.objects.create_user("olga", password="olga-password")
    client = Client()
    client.force_login(user)

    page = html(client)

    assert "kill-dialog" not in page
    assert "data-can-cancel" not in page


def test_another_accounts_trades_are_not_shown(page, traded):
    outsider = Client()
    outsider.force_login(User.objects.create_user("otto", password="otto-password"))

    assert not [kind for kind, _ in Cells(html(outsider)).rows if kind in {"order", "fill"}]


def test_lights_come_from_the_supervisor(page):
    now = timezone.now()
    ProcessStatus.objects.create(name="web", state="up", since=now, updated_at=now)
    ProcessStatus.objects.create(name="sealer", state="restarting", since=now, updated_at=now)

    rows = Cells(html(page)).rows

    assert rows["light", "sealer"]["said"] == "restarting"
    assert rows["light", "web"]["said"].endswith(" s")


@pytest.mark.parametrize(
    ("_case", "state", "age", "health", "said"),
    [
        ("well", "up", 1, "good", "1 s"),
        ("still heard of", "up", 3, "good", "3 s"),
        ("silent", "up", 4, "bad", "silent 4 s"),
        ("on its way back", "restarting", 0, "bad", "restarting"),
    ],
)
def test_lights(_case, state, age, health, said):
    (light,) = overview.lights([{"name": "web", "state": state, "age": age}])

    assert (light["health"], light["said"]) == (health, said)


def test_lights_keep_the_pages_order():
    told = [{"name": n, "state": "up", "age": 0} for n in ("strategy", "market", "postgres")]

    assert [light["name"] for light in overview.lights(told)] == ["postgres", "market", "strategy"]


@pytest.mark.parametrize(
    ("_case", "connections", "expected"),
    [
        ("nothing yet", [], "PAPER"),
        ("paper", [("paper", True)], "PAPER"),
        ("practice", [("paper", True), ("practice", True)], "PRACTICE"),
        ("one live account makes it live", [("paper", True), ("live", True)], "LIVE"),
        ("a live account that is off does not", [("paper", True), ("live", False)], "PAPER"),
    ],
)
def test_environment(_case, connections, expected):
    rows = [{"environment": name, "is_enabled": enabled} for name, enabled in connections]

    assert overview.environment(rows) == expected


@pytest.mark.parametrize(
    ("_case", "positions", "expected"),
    [
        ("flat", [("AAPL", "0", None)], "0"),
        ("long and short add up", [("AAPL", "10", "2.5"), ("AAPL", "-4", "2.5")], "35"),
        ("contracts count by their multiplier", [("OPTION", "-2", "1.5")], "300"),
        ("no price: unknown", [("AAPL", "1", "1"), ("AAPL", "1", None)], None),
        ("unknown stays unknown", [("AAPL", "1", None), ("AAPL", "1", "1")], None),
        ("no multiplier: unknown", [("MSFT", "1", "1")], None),
    ],
)
def test_exposure(_case, positions, expected):
    rows = [
        {"symbol": symbol, "currency": "USD", "quantity": quantity, "last_price": price}
        for symbol, quantity, price in positions
    ]

    (total,) = overview.with_exposure(
        [{"currency": "USD"}], rows, multipliers={"AAPL": "1", "OPTION": "100"}
    )

    assert total["exposure"] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", "+"), ("-0.01", "-"), ("0", "0"), ("0.00", "0"), ("-0", "0"), (None, ""), ("", "")],
)
def test_sign(value, expected):
    assert trading.sign(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("182.50", "182.50"), ("-3", "-3"), (None, "—"), ("<b>", "&lt;b&gt;")]
)
def test_number_keeps_the_text(value, expected):
    assert re.sub(r"</?span[^>]*>", "", trading.number(value)) == expected


@pytest.mark.parametrize(("dry", "said"), [(True, 1), (False, 0)])
def test_a_dry_account_is_named_at_the_top(page, account, dry, said):
    type(account).objects.update(dry_run=dry)

    assert page_text(page.get("/")).count("DRY RUN: paper") == said
