"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection

from orders.lifecycle import OPEN, trigger_sql

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["brokers", "portfolio", "risk", "orders"]
SOURCES = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]


def calls(path, name):
    """Tell whether a file calls something of this name."""
    return any(
        isinstance(node, ast.Call)
        and (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) == name
        for node in ast.walk(ast.parse(path.read_text()))
    )


@pytest.mark.parametrize(
    ("_case", "name", "only"),
    [
        (
            "orders are sent by submission alone, behind the guard of every call",
            "submit",
            {"orders/sending/submission.py", "brokers/guarded.py"},
        ),
        ("grants are made in one place alone", "Grant", {"orders/sending/grants.py"}),
        (
            "claims are made by submission alone",
            "claim_and_grant",
            {"orders/sending/submission.py"},
        ),
        ("claims are made by submission alone", "claim_oldest", {"orders/sending/submission.py"}),
    ],
)
def test_execution_authority_is_in_one_place(_case, name, only):
    sources = [*SOURCES, *(ROOT / "execution_site").rglob("*.py")]
    callers = {str(path.relative_to(ROOT)) for path in sources if calls(path, name)}

    assert callers - {"execution_site/trail/sealer.py"} == only


def test_foreign_keys_point_down_only():
    for layer, label in enumerate(LAYERS):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.get_fields():
                target = getattr(field, "related_model", None)
                if field.auto_created or not field.is_relation or target is None:
                    continue
                other = target._meta.app_label
                assert other not in LAYERS[layer + 1 :], f"{model.__name__}.{field.name}"


def test_the_database_s_transitions_are_the_table_s(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'orders_order_transition'")
        installed = cursor.fetchone()[0]

    pairs = re.compile(r"\('(\w+)', '(\w+)'\)")
    assert pairs.findall(installed) == pairs.findall(trigger_sql("orders_order"))


def test_the_view_of_working_orders_knows_every_status_that_can_work(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_viewdef('orders_line'::regclass)")
        listed = re.search(r"status\)::text = ANY \((.*?)\)\)", cursor.fetchone()[0], re.DOTALL)[1]

    assert set(re.findall(r"'(\w+)'", listed)) == set(OPEN)


def test_no_task_retries_or_waits_on_its_own():
    for path in SOURCES:
        assert not re.search(r"countdown=|\beta=|autoretry_for|self\.retry", path.read_text()), path


def test_what_the_security_table_is_shown_by_exists():
    table = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", table)

    assert len(named) > 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text()
        assert f"def {test or 'test_'}" in source, f"{file}::{test}"


def test_test_modules_do_not_import_each_other():
    """What several of them need stands beside them."""
    other = re.compile(r"^from tests\.(?:\w+\.)*test_\w+ import", re.MULTILINE)
    for path in (ROOT / "tests").rglob("*.py"):
        assert not other.search(path.read_text()), path


def test_templates_can_be_read_and_compared():
    """A line of a template is one thought: what changes in it can be seen."""
    for path in (ROOT / "templates").rglob("*.html"):
        longest = max(map(len, path.read_text().splitlines()), default=0)
        assert longest <= 170, path


@pytest.mark.parametrize(
    ("what", "words", "module"),
    [
        (
            "locks, else nobody could say in what order they are taken",
            r"select_for_update|\bFOR (NO KEY )?UPDATE|\bFOR (KEY )?SHARE|pg_\w*advisory",
            "execution_site/floor/locks.py",
        ),
        (
            "leases, else nobody could say what fences a holder's writes",
            r"execution_site_lease|\bLease\.objects",
            "execution_site/floor/leases.py",
        ),
    ],
)
def test_what_is_written_in_one_module_alone(what, words, module):
    sources = [*SOURCES, *(ROOT / "execution_site").rglob("*.py")]
    places = {path for path in sources if re.search(words, path.read_text())}
    named = {str(path.relative_to(ROOT)) for path in places if "migrations" not in path.parts}

    assert named == {module}, what
