"""Every variable that the site reads is in the table of docs/operation.md, with its default."""

import ast
import re
from pathlib import Path

import pytest

from execution_site.floor import secret_keys
from execution_site.processes import roles

ROOT = Path(__file__).resolve().parents[3]
#: Of these the table says what the default means.
SERVERS = {"DATABASE_URL", "REDIS_URL"}


def read_by_the_settings():
    """Return the source of the default of each variable that settings.py reads by itself."""
    tree = ast.parse((ROOT / "execution_site" / "settings.py").read_text())
    return {
        ast.literal_eval(node.args[0]): node.keywords[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "id", None) == "env"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def the_table():
    """Return the default that the table names, by variable."""
    page = (ROOT / "docs" / "operation.md").read_text()
    section = page.partition("## Settings\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if "| `" in line]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


def test_the_table_names_what_the_site_reads_and_nothing_else():
    keys = {name + more for name in secret_keys.NAMES for more in ("", secret_keys.FALLBACKS)}

    assert set(the_table()) == {*read_by_the_settings(), *keys, roles.OWNER}


@pytest.mark.parametrize("name", sorted(set(read_by_the_settings()) - SERVERS))
def test_the_table_says_the_default(name):
    """Where it depends on others the table says so in words, which nothing can check."""
    try:
        default = ast.literal_eval(read_by_the_settings()[name])
    except ValueError:
        return
    if isinstance(default, bool):
        default = int(default)
    said = ",".join(default) if isinstance(default, list) else str(default)
    assert the_table()[name].partition(";")[0] == (said or "none")
