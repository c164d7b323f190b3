"""What lets more through, field by field; what is in no table is no way around it."""

import re

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

from orders.console.two_persons import Proposing, TwoPersonsAdmin
from orders.two_persons import loosening
from orders.two_persons.changes import CHANGES
from orders.two_persons.loosening import GUARDED, kinds
from risk.change_kinds import ChangeKind
from risk.four_eyes import ALWAYS
from risk.models import FourEyesRule

MODELS = {model._meta.label_lower: model for model in admin.site._registry}
JUNE, JULY = "2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"


@pytest.mark.parametrize(
    ("rule", "was", "new", "lets_more"),
    [
        ("higher", "10.0", "10.1", True),
        ("higher", "10.0", "10", False),
        ("higher", "10.0", "9.9", False),
        ("later", JUNE, JULY, True),
        ("later", JUNE, JUNE, False),
        ("later", JULY, JUNE, False),
        ("later", JUNE, None, True),
        ("later", None, JUNE, False),
        ("later", None, None, False),
        ("wider", ["10.0.0.0/8"], ["10.1.0.0/16"], False),
        ("wider", ["10.1.0.0/16"], ["10.0.0.0/8"], True),
        ("wider", ["10.0.0.0/8"], ["10.1.0.0/16", "::1/128"], True),
        ("wider", ["10.0.0.0/8"], [], True),
        ("wider", [], ["10.0.0.0/8"], False),
        ("wider", ["10.0.0.0/8", "::/0"], ["::1/128"], False),
        ("more", [1, 2], [1], False),
        ("more", [1, 2], [2, 1], False),
        ("more", [1, 2], [1, 3], True),
        ("more", None, [1], True),
        ("on", False, True, True),
        ("on", True, False, False),
        ("on", True, True, False),
        ("off", True, False, True),
        ("off", False, True, False),
        ("given", "", "stored", True),
        ("given", "stored", "stored", False),
        ("given", "stored", "other", True),
        ("given", "stored", "", False),
        ("changed", 1, 2, True),
        ("changed", 1, 1, False),
        ("never", 1, 2, False),
    ],
)
def test_what_lets_more_through(rule, was, new, lets_more):
    assert getattr(loosening, rule)(was, new) is lets_more


def test_a_new_breaker_narrows_and_a_new_connection_does_not():
    assert not list(kinds("risk.breaker", None, {"threshold": "5", "is_enabled": True}))
    assert ChangeKind.CONNECTION in kinds("brokers.brokerconnection", None, {"name": "live"})


#: Fields of a form that are none of the row, or that nobody sets.
BESIDE = {"reason", "new_credentials", "last_login"}


@pytest.mark.parametrize("label", GUARDED)
def test_whatever_the_console_changes_in_a_guarded_table_has_its_rule(label, db):
    """A field that a form gains, and the table does not name, would be a way around it."""
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    table = admin.site._registry[MODELS[label]]
    row = User() if label == "auth.user" else None  # a new user holds nothing

    assert set(table.get_form(request, row, change=True).base_fields) - BESIDE <= set(
        GUARDED[label]
    )
    assert isinstance(table, TwoPersonsAdmin)


@pytest.mark.parametrize("label", [*GUARDED, "risk.risklimit"])
def test_a_guarded_table_is_changed_by_its_form_alone(label, db):
    """Nothing is edited in a list or deleted in bulk; a delete takes away, or there is none."""
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True)
    table = admin.site._registry[MODELS[label]]

    assert isinstance(table, Proposing)
    assert not table.list_editable
    assert "delete_selected" not in table.get_actions(request)
    deletable = table.has_delete_permission(request)
    assert deletable == (label in {"auth.user", "auth.group", "orders.apiclient"})


def test_what_can_be_switched_on_is_what_is_built():
    offered = {value for value, _ in FourEyesRule._meta.get_field("kind").choices}

    assert set(CHANGES) == set(ChangeKind)
    assert offered == set(ChangeKind) - ALWAYS
    used = {kind for table in GUARDED.values() for kind, _ in table.values()}
    assert used | {"limit_up", "kill_release", "mode", "live_switch"} == offered


def test_the_documentation_names_every_kind():
    text = (settings.BASE_DIR / "docs" / "risk.md").read_text().partition("## Two persons")[2]

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(ChangeKind)
