"""The matrix of rights: endpoints, pages, actions of the console, sockets, by role and account.

What each ought to answer is worked out from execution_site/rest/permissions.py and the cast alone.
"""

import json

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory
from django.urls import URLPattern, reverse

from brokers.models import BrokerConnection
from execution_site.console.table_rights import CONSOLE
from execution_site.rest import permissions
from execution_site.rest.permissions import API, ENDPOINTS, PAGES, PUBLIC, SOCKETS, Right
from execution_site.urls import api, urlpatterns
from execution_site.web import admissions, consumers
from orders.models import ApiClient
from risk.models import RiskLimit
from tests.execution_site.rest import permission_cast as cast
from tests.execution_site.rest.permission_cast import EVERYTHING, OTHER, OWN, WHO, Member

METHODS = ("get", "post", "put", "patch", "delete")
SAMPLES = {"<symbol:symbol>": "AAPL", "<symbol:underlying>": "AAPL"}
CELLS = [(path, method) for path, methods in ENDPOINTS.items() for method in methods]
#: Pages of the console beside those that every table has.
OF_THE_CONSOLE = {"risk_risklimit_end", "auth_user_password_change"}


@pytest.fixture
def stage(account, valkey):
    BrokerConnection.objects.create(name=OTHER, broker="paper", environment="paper")
    return {name: cast.rows(name) for name in (OWN, OTHER)}


def ask(http, method, path, body=None):
    data = {} if method == "get" else {"data": json.dumps(body or {})}
    return getattr(http, method)(path, content_type="application/json", **data).status_code


def holds(one, needs):
    return bool({needs} & one.rights if isinstance(needs, Right) else set(needs) & one.rights)


# --- The tables name what there is ---------------------------------------------------------------


def served(route):
    view = route.callback.cls if hasattr(route.callback, "cls") else None
    return {m for m in METHODS if hasattr(view, m)} or {"get"}


def test_every_endpoint_is_listed_with_its_methods():
    there = {str(route.pattern): served(route) for route in api}

    assert {path: set(methods) for path, methods in ENDPOINTS.items()} == there


def test_every_page_is_listed():
    def routes(patterns):
        for one in patterns:
            if isinstance(one, URLPattern):
                yield str(one.pattern)
            elif not str(one.pattern).startswith((API, "admin/")):
                yield from routes(one.url_patterns)

    assert set(routes(urlpatterns)) == set(PAGES)


def test_every_table_and_action_of_the_console_is_listed(risk_manager):
    request = RequestFactory().get("/")
    request.user = risk_manager
    there = {model._meta.label_lower: set(page.actions) for model, page in _console()}

    assert {label: set(table.actions) for label, table in CONSOLE.items()} == there
    usual = ("changelist", "add", "history", "delete", "change")
    names = {url.name for _, page in _console() for url in page.get_urls() if url.name}
    assert {name for name in names if not name.endswith(usual)} == OF_THE_CONSOLE - {
        name for name in OF_THE_CONSOLE if name.endswith(usual)
    }


def test_every_socket_is_listed():
    assert set(SOCKETS) == {"ws/stream"}


def _console():
    return admin.site._registry.items()


# --- Endpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_endpoints_by_role_and_account(stage, who, capsys):
    one, wrong, size = cast.member(who), [], 0
    for path, method in CELLS:
        needs = ENDPOINTS[path][method]
        for account in (OWN, OTHER) if "<int:pk>" in path else (OWN,):
            word = path.split("/<int:pk>", maxsplit=1)[0].rpartition("/")[2]
            filled = path.replace("<int:pk>", str(stage[account].get(word)))
            for sample, value in SAMPLES.items():
                filled = filled.replace(sample, value)
            got, size = ask(one.http, method, f"/{API}{filled}"), size + 1
            if needs == PUBLIC:
                fine = got not in {401, 403}
            elif who == "nobody":
                fine = got == 401
            elif not holds(one, needs):
                fine = got == 403
            elif not one.reaches(account):
                fine = got == 404 or (got == 400 and method == "post")  # the body comes first
            else:
                fine = got not in {401, 403} and (got != 404 or "<symbol" in path)
            if not fine:
                wrong.append((method, filled, account, got))
    with capsys.disabled():
        print(f"[{who}: {size} cells of endpoints]", end=" ")
    assert wrong == []


def _kill(account, *, active):
    return "system/kill-switch", {
        "active": active,
        "scope": {"account": account},
        "reason": "a drill",
    }


def _breaker(account, stage):
    if account is None:
        pk = cast.Breaker.objects.create(kind="slippage", threshold=1, state="TRIPPED").pk
    else:
        pk = stage[account]["breakers"]
    return f"system/breakers/{pk}/reset", {"reason": "a drill"}


def _decline(account, _):
    return f"proposals/{cast.proposal(account).pk}/decline", {"reason": "a drill"}


#: What acts in an account or on everything: the right, and how it is asked for.
REACHING = {
    "kill": (Right.KILL, lambda account, _: _kill(account, active=True)),
    "release": (Right.RELEASE_KILL, lambda account, _: _kill(account, active=False)),
    "breaker": (Right.RESET_BREAKER, _breaker),
    "proposal": (Right.APPROVE, _decline),
}
IN_AN_ACCOUNT = {
    "flatten": (Right.TRADE, "positions/flatten", {"reason": "a drill"}),
    "cancel all": (Right.TRADE, "orders/cancel-all", {}),
}


@pytest.mark.parametrize("who", WHO[1:])
def test_what_acts_reaches_no_further_than_the_rights(stage, who):
    one, wrong = cast.member(who), []
    for name, (right, make) in REACHING.items():
        for account in (OWN, OTHER, EVERYTHING):
            path, body = make(account, stage)
            got = ask(one.http, "post", f"/{API}{path}", body)
            may = right in one.rights and one.reaches(account)
            if may != (got in {200, 202, 409}) or (not may and got not in {400, 403, 404}):
                wrong.append((name, account, got))
    for name, (right, path, body) in IN_AN_ACCOUNT.items():
        for account in (OWN, OTHER):
            got = ask(one.http, "post", f"/{API}{path}", {**body, "account": account})
            if (right in one.rights and one.reaches(account)) != (got in {200, 202}):
                wrong.append((name, account, got))
    assert wrong == []


def test_who_cancels_everything_cancels_in_their_own_accounts(stage):
    one = cast.member("trader")

    assert ask(one.http, "post", f"/{API}orders/cancel-all") == 200
    statuses = dict(cast.Order.objects.values_list("connection__name", "status"))
    assert statuses == {OWN: "CANCELLED", OTHER: "PENDING"}


# --- Pages and sockets ---------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["nobody", *cast.ROLES, "superuser"])
def test_pages_by_role(stage, who):
    one = cast.member(who)
    for path, needs in PAGES.items():
        got = one.http.get(f"/{path}").status_code
        if needs == PUBLIC:
            assert got in {200, 302, 405, 503}, path
        elif who == "nobody":
            assert got == 302, path
        else:
            assert got == 200, path


@pytest.mark.parametrize("who", WHO)
def test_sockets_by_role(stage, who):
    one = cast.member(who)
    key = one.http.defaults.get("HTTP_AUTHORIZATION", "")
    headers = [(b"authorization", key.encode())] if key else []
    headers += [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    scope = {"headers": headers, "session": one.http.session, "client": ("127.0.0.1", 1)}

    identity = consumers._identity(scope)
    found = admissions.principal_of(identity) if identity else None

    assert (found is not None) == (Right.READ in one.rights)
    assert found is None or set(found.accounts) == one.accounts


# --- The console ---------------------------------------------------------------------------------

EVERY_TABLE = ["view", "add", "change", "delete"]


def staff(rights, *, tables=()):
    """Return a member of staff with rights, and with permissions for every table."""
    user = cast.person("clerk", rights, staff=True)
    user.user_permissions.add(
        *Permission.objects.filter(codename__regex=rf"^({'|'.join(tables)})_") if tables else ()
    )
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize("role", cast.ROLES)
def test_actions_of_the_console_by_role(stage, role):
    rights = {Right.READ, *cast.ROLES[role]}
    request = RequestFactory().get("/")
    request.user = staff(cast.ROLES[role], tables=["view"])
    for model, page in _console():
        listed = CONSOLE[model._meta.label_lower].actions
        offered = {name for name, needs in listed.items() if needs and rights.issuperset(needs)}
        assert set(page.get_actions(request)) == offered, model


@pytest.mark.parametrize("tables", [[], ["view"], EVERY_TABLE], ids=["none", "view", "all"])
def test_tables_of_the_console_need_their_permissions(stage, tables):
    http = Client()
    http.force_login(staff(set(), tables=tables))
    for model, page in _console():
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert http.get(url).status_code == (200 if tables else 403), url
        if page.has_add_permission(http.get("/admin/").wsgi_request):
            assert tables == EVERY_TABLE


@pytest.mark.parametrize("path", ["/admin/", "/admin/orders/order/", "/admin/auth/user/"])
def test_who_is_not_staff_sees_nothing_of_the_console(stage, path):
    assert cast.member("operator").http.get(path).status_code == 302


def test_rows_of_other_accounts_are_not_there_in_the_console(stage):
    user = staff(set(), tables=EVERY_TABLE)
    request = RequestFactory().get("/")
    seen = 0
    for model, page in _console():
        table = CONSOLE[model._meta.label_lower]
        if not table.account:
            continue
        request.user = user
        shown = {table.account_of(row) for row in page.get_queryset(request)}
        request.user = User.objects.get_or_create(username="rita", is_superuser=True)[0]
        there = {table.account_of(row) for row in page.get_queryset(request)}
        assert OTHER not in shown, model
        seen += OTHER in there
    assert seen >= 5


@pytest.mark.parametrize(
    ("rights", "named", "may"),
    [
        (set(), OWN, True),
        (set(), OTHER, False),
        (set(), EVERYTHING, False),
        ({Right.INSTALLATION}, OTHER, True),
        ({Right.INSTALLATION}, EVERYTHING, True),
    ],
)
@pytest.mark.parametrize("model", ["risklimit", "symbolrule", "breaker"])
def test_rules_are_changed_and_added_within_ones_accounts(stage, model, rights, named, may):
    connection = BrokerConnection.objects.filter(name=named).first()
    page = next(page for m, page in _console() if m._meta.model_name == model)
    request = RequestFactory().get("/")
    request.user = user = staff(rights, tables=EVERY_TABLE)
    row = page.model(connection=connection)

    assert page.has_change_permission(request, row) == may
    field = page.get_form(request)().fields["connection"]
    offered = set(field.queryset.values_list("name", flat=True))
    assert (named in offered if named else not field.required) == may
    assert permissions.may_act(user, named) == may


def test_a_limit_of_everything_is_not_ended_by_one_accounts_risk_manager(stage):
    http = Client()
    http.force_login(staff(set(), tables=EVERY_TABLE))
    limit = RiskLimit.objects.create(metric="max_order_quantity", value=10)

    answer = http.get(reverse("admin:risk_risklimit_end"), {"id": limit.pk})

    assert answer.status_code == 403


def test_the_size_of_the_matrix(capsys):
    """Print it: endpoint, page, action and socket, each by role and account."""
    endpoints = sum(2 if "<int:pk>" in path else 1 for path, _ in CELLS) * len(WHO)
    reach = (len(REACHING) * 3 + len(IN_AN_ACCOUNT) * 2) * (len(WHO) - 1)
    people = len(cast.ROLES) + 2
    actions = sum(len(table.actions) for table in CONSOLE.values()) * len(cast.ROLES)
    sizes = {
        "endpoints": endpoints,
        "reach": reach,
        "pages": len(PAGES) * people,
        "actions": actions,
        "tables": len(CONSOLE) * 3,
        "sockets": len(SOCKETS) * len(WHO),
    }
    with capsys.disabled():
        print(f"\nrights: {sum(sizes.values())} cells, {sizes}")
    assert sum(sizes.values()) > 1_000


def test_a_key_of_an_inactive_person_is_no_key(stage):
    one = cast.member("key read")
    User.objects.filter(username="keeper").update(is_active=False)

    assert ask(one.http, "get", f"/{API}orders") == 401


def test_an_address_that_no_table_names_is_refused(stage, monkeypatch):
    one: Member = cast.member("superuser")
    monkeypatch.delitem(ENDPOINTS, "orders")
    monkeypatch.delitem(PAGES, "risk/")

    assert ask(one.http, "get", f"/{API}orders") == 403
    assert one.http.get("/risk/").status_code == 403
    assert ApiClient.objects.exists()
