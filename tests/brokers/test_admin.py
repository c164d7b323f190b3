"""The console's pages of connections, instruments, quotes and the paper ledger."""

import re
from pathlib import Path

import pytest
from django.contrib import admin
from django.urls import reverse

from brokers.models import BrokerConnection, Instrument, PaperOrder, PaperReport, Quote
from execution_site.floor.events import Event

SECRET = "kanarie-7"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def console(client, risk_manager):
    client.force_login(risk_manager)
    return client


def connection_form(connection, **values):
    form = {
        "environment": connection.environment,
        "is_enabled": "on",
        "settings": "{}",
        "day_roll_time": "00:00",
        "day_roll_zone": "UTC",
        "new_credentials": "",
        "reason": "the quarterly review",
    }
    return {**form, **values}


@pytest.fixture
def change(console, account):
    """Post the form of the account's page."""
    page = reverse("admin:brokers_brokerconnection_change", args=[account.pk])
    return lambda **values: console.post(page, connection_form(account, **values))


def audits(*actions):
    recorded = Event.objects.filter(type="audit").order_by("id").values_list("data", flat=True)
    return [data for data in recorded if not actions or data["action"] in actions]


def test_credentials_are_sealed_to_their_row_recorded_and_not_shown(change, console, account):
    answer = change(new_credentials=f'{{"api_key": "{SECRET}"}}')
    assert answer.status_code == 302

    account.refresh_from_db()
    assert account.read_credentials() == {"api_key": SECRET}
    page = console.get(reverse("admin:brokers_brokerconnection_change", args=[account.pk]))
    assert SECRET not in page.content.decode()
    (recorded,) = audits("credentials")
    assert (recorded["action"], recorded["before"], recorded["after"]) == (
        "credentials",
        "none",
        "stored",
    )
    assert (recorded["actor"], recorded["reason"]) == ("rita", "the quarterly review")
    assert not any(SECRET in str(data) for data in audits())


def test_empty_credentials_keep_what_is_stored_and_an_empty_object_removes_it(change, account):
    change(new_credentials=f'{{"api_key": "{SECRET}"}}')
    change(is_enabled="")
    account.refresh_from_db()
    assert account.read_credentials() == {"api_key": SECRET}

    change(new_credentials="{}")
    account.refresh_from_db()
    assert account.read_credentials() == {}
    last = audits("credentials")[-1]
    assert (last["before"], last["after"]) == ("stored", "none")


def test_a_form_that_comes_back_does_not_show_the_credentials(change):
    answer = change(new_credentials=f'{{"api_key": "{SECRET}"}}', reason="")

    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


@pytest.mark.parametrize(
    ("_case", "values", "text"),
    [
        ("no reason", {"reason": ""}, "This field is required"),
        ("a reason of blanks", {"reason": "   "}, "This field is required"),
        ("credentials that are no object", {"new_credentials": "[1]"}, "A JSON object of texts"),
        ("credentials that are no texts", {"new_credentials": '{"a": 1}'}, "A JSON object of tex"),
        ("a zone there is not", {"day_roll_zone": "Mars/Olympus"}, "no such time zone"),
        ("settings that are no object", {"settings": "[]"}, "A JSON object is expected"),
        ("a negative slippage", {"settings": '{"slippage_basis_points": -1}'}, "is negative"),
        ("no number", {"settings": '{"commission_basis_points": "x"}'}, "is not a number"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_recorded(change, account, _case, values, text):
    answer = change(**values)

    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert audits() == []


def test_a_change_is_recorded_with_before_and_after(change, account):
    assert change(settings='{"slippage_basis_points": "7"}').status_code == 302

    (recorded,) = audits()
    assert (recorded["actor"], recorded["reason"]) == ("rita", "the quarterly review")
    assert recorded["before"]["settings"]["slippage_basis_points"] == "0"
    assert recorded["after"]["settings"] == {"slippage_basis_points": "7"}


READERS = [
    path
    for layer in ("brokers", "portfolio", "risk", "orders", "execution_site")
    for path in (ROOT / layer).rglob("*.py")
    if "migrations" not in path.parts and "admin" not in path.stem and path.name != "models.py"
]
#: Fields of the form that no code reads, and why they are there all the same.
NOT_READ = {
    "new_credentials": "sealed for the adapters of venues to come; the paper venue needs none",
    "reason": "of the change: for the audit log",
}


@pytest.mark.parametrize("_case", ["added", "changed"])
def test_every_setting_that_is_shown_is_read_by_something(console, account, _case):
    page = reverse("admin:brokers_brokerconnection_add")
    if _case == "changed":
        page = reverse("admin:brokers_brokerconnection_change", args=[account.pk])
    shown = console.get(page).context["adminform"]
    fields = set(shown.form.fields) | set(shown.readonly_fields)
    code = "\n".join(path.read_text() for path in READERS)

    assert {"is_enabled", "dry_run", "settings", "capital"} <= fields
    for name in fields - set(NOT_READ):
        assert re.search(rf"(\.|\"|\b(SELECT|c\.) ?){name}\b", code), f"nothing reads {name}"
    assert set(NOT_READ) <= fields


@pytest.mark.parametrize("name", ["base_url", "stream_url", "is_reconciling", "clock_offset"])
def test_what_has_no_effect_or_is_the_engine_s_own_cannot_be_set(change, account, name):
    was = getattr(account, name)
    assert change(**{name: "1"}).status_code == 302

    account.refresh_from_db()
    assert getattr(account, name) == was


def test_what_the_engine_has_found_out_is_shown(console, account):
    BrokerConnection.objects.update(is_reconciling=True, clock_offset="0.25")
    page = reverse("admin:brokers_brokerconnection_change", args=[account.pk])

    assert "0.250000" in console.get(page).content.decode()


def test_what_an_account_is_stays(change, account):
    change(name="other", broker="other", environment="live")

    account.refresh_from_db()
    assert (account.name, account.broker, account.environment) == ("paper", "paper", "paper")


def test_the_paper_venue_has_no_live_accounts(console, account):
    form = connection_form(account, name="second", broker="paper", environment="live")
    answer = console.post(reverse("admin:brokers_brokerconnection_add"), form)

    assert answer.status_code == 200
    assert "paper_broker_is_paper_environment" in answer.content.decode()


def test_a_new_connection_seals_to_its_new_id(console, account):
    form = connection_form(account, name="second", broker="paper")
    form["new_credentials"] = f'{{"api_key": "{SECRET}"}}'
    assert console.post(reverse("admin:brokers_brokerconnection_add"), form).status_code == 302

    second = BrokerConnection.objects.get(name="second")
    assert second.read_credentials() == {"api_key": SECRET}


@pytest.mark.parametrize("model", [Quote, PaperOrder, PaperReport])
def test_quotes_and_the_ledger_are_read_only(console, rf, risk_manager, model):
    page = admin.site.get_model_admin(model)
    request = rf.get("/")
    request.user = risk_manager

    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
    assert page.get_actions(request) == {}


@pytest.mark.parametrize("model", [BrokerConnection, Instrument, Quote, PaperOrder, PaperReport])
def test_every_list_opens(console, send, model):
    send("BUY", 10)
    name = f"admin:brokers_{model.__name__.lower()}_changelist"

    answer = console.get(reverse(name))

    assert answer.status_code == 200
    assert "delete_selected" not in answer.content.decode()


def test_an_outsider_sees_nothing(client, account):
    page = reverse("admin:brokers_brokerconnection_change", args=[account.pk])

    assert client.get(page).status_code == 302
