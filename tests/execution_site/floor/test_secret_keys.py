"""An installation's keys: its own from the first start, the same for all, and nobody else's."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from execution_site.floor import secret_keys
from execution_site.floor.secret_keys import NAMES, KeysUnusable

ROOT = Path(__file__).resolve().parents[3]
GIVEN = {name: secret_keys.new_key() for name in NAMES}


def test_they_are_made_once_for_their_user_alone(tmp_path):
    made = secret_keys.load(tmp_path / "data", {})

    assert len({key for keys in made.values() for key in keys}) == len(NAMES)
    assert stat.S_IMODE(secret_keys.path_of(tmp_path / "data").stat().st_mode) == 0o600
    assert secret_keys.load(tmp_path / "data", {}) == made
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secrets.json"]


def test_two_installations_share_none(tmp_path):
    assert secret_keys.load(tmp_path / "a", {}) != secret_keys.load(tmp_path / "b", {})


def test_given_keys_touch_no_disk(tmp_path):
    given = GIVEN | {"AUDIT_KEY_FALLBACKS": "before,long before"}

    keys = secret_keys.load(tmp_path / "data", given)

    assert keys["SECRET_KEY"] == [GIVEN["SECRET_KEY"]]
    assert keys["AUDIT_KEY"] == [GIVEN["AUDIT_KEY"], "before", "long before"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", NAMES)
def test_one_given_key_leaves_the_others_to_the_file(tmp_path, name):
    made = secret_keys.load(tmp_path, {})

    keys = secret_keys.load(tmp_path, {name: GIVEN[name]})

    assert keys == made | {name: [GIVEN[name]]}


def test_processes_that_start_at_once_have_the_same(tmp_path):
    code = (
        "import sys, pathlib; from execution_site.floor import secret_keys; sys.stdin.read();"
        "print(secret_keys.load(pathlib.Path(sys.argv[1]), {}))"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "data")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in starting:
        process.stdin.close()

    assert len({process.stdout.read() for process in starting}) == 1
    assert [process.wait() for process in starting] == [0] * len(starting)


def test_keys_kept_beside_the_ports_stay_the_same(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "runtime.json").write_text(json.dumps({"secrets": GIVEN}))

    assert secret_keys.load(tmp_path, {}) == {name: [key] for name, key in GIVEN.items()}


@pytest.mark.parametrize(
    ("_case", "spoil"),
    [
        ("it is gone, its database is not", lambda path: path.unlink()),
        ("it is no JSON", lambda path: path.write_text("{")),
        ("it is not whole", lambda path: path.write_text("{}")),
    ],
)
def test_lost_keys_are_not_replaced_in_silence(tmp_path, _case, spoil):
    secret_keys.load(tmp_path, {})
    (tmp_path / "postgres").mkdir()
    spoil(secret_keys.path_of(tmp_path))

    with pytest.raises(KeysUnusable, match=r"secrets\.json"):
        secret_keys.load(tmp_path, {})


def test_a_new_key_goes_before_the_others(tmp_path):
    made = secret_keys.load(tmp_path, {})

    keys = secret_keys.put_new_first(tmp_path, "AUDIT_KEY")

    assert keys[1:] == made["AUDIT_KEY"]
    assert secret_keys.load(tmp_path, {}) == made | {"AUDIT_KEY": keys}
    assert stat.S_IMODE(secret_keys.path_of(tmp_path).stat().st_mode) == 0o600
