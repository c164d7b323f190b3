"""An installation that may not be is refused wherever it is loaded, and is told why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from execution_site.floor import secret_keys
from execution_site.installation import safety

ROOT = Path(__file__).resolve().parents[3]
KEYS = {name: secret_keys.new_key() for name in secret_keys.NAMES}
SAFE = {
    "debug": False,
    "demo": False,
    "host": "127.0.0.1",
    "trusted_hops": 0,
    "allowed_hosts": ["x"],
    "keys": KEYS,
    "own_database": False,
}
PUBLIC = "insecure-development-secret-do-not-use-outside-your-own-machine"


@pytest.mark.parametrize(
    ("_case", "changed", "found"),
    [
        ("a laptop", {}, []),
        ("a laptop's demo, and debugging", {"demo": True, "debug": True}, []),
        ("behind a proxy", {"trusted_hops": 1, "own_database": True}, []),
        ("for others", {"host": "0.0.0.0", "own_database": True}, []),
        ("open hosts", {"allowed_hosts": ["x", "*"]}, ["E002"]),
        ("no hosts", {"allowed_hosts": []}, ["E002"]),
        ("debugging for others", {"debug": True, "host": "0.0.0.0"}, ["E004"]),
        ("debugging behind a proxy", {"debug": True, "trusted_hops": 1}, ["E004"]),
        ("a demo for others", {"demo": True, "host": "::"}, ["E005"]),
        ("a demo behind a proxy", {"demo": True, "trusted_hops": 2}, ["E005"]),
        ("a demo on a real database", {"demo": True, "own_database": True}, ["E005"]),
        ("everything at once", {"demo": True, "debug": True, "host": "10.0.0.1"}, ["E004", "E005"]),
    ],
)
def test_what_may_be_loaded(_case, changed, found):
    told = list(safety.dangers(**SAFE | changed))

    assert [danger.id.removeprefix("execution.") for danger in told] == found
    assert all(danger.hint for danger in told)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    ("_case", "key", "is_refused"),
    [
        ("a letter", "x", True),
        ("one below", "abcde" * 9 + "abcd", True),
        ("long enough", "abcde" * 10, False),
        ("long, of four letters", "abcd" * 20, True),
        ("Django's example", "django-insecure-" + "abcdefgh" * 8, True),
        ("what once was the default", PUBLIC, True),
    ],
)
def test_a_key_that_can_be_guessed_is_refused_by_name(name, _case, key, is_refused):
    told = list(safety.dangers(**SAFE | {"keys": KEYS | {name: key}}))

    assert [name in danger.text for danger in told] == [True] * is_refused


def test_one_key_does_not_serve_two_purposes():
    same = dict.fromkeys(KEYS, secret_keys.new_key())

    assert len(list(safety.dangers(**SAFE | {"keys": same}))) == len(same)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.5", False),
        ("localhost.example.com", False),
    ],
)
def test_which_hosts_only_this_machine_reaches(host, expected):
    assert safety.is_loopback(host) is expected


LOADED = {
    "the web process under any server": "import execution_site.asgi",
    "Celery by its own command": "import celery.bin.celery, sys; sys.argv = ['celery', '-A', "
    "'execution_site', 'worker', '--pool', 'solo']; celery.bin.celery.main()",
    "a role": "import sys, runpy; sys.argv = ['manage.py', 'run_worker']; "
    "runpy.run_path('manage.py', run_name='__main__')",
    "the supervisor": "import sys, runpy; sys.argv = ['manage.py', 'run']; "
    "runpy.run_path('manage.py', run_name='__main__')",
}


@pytest.mark.parametrize("_case", LOADED)
def test_it_is_refused_wherever_it_is_loaded(tmp_path, _case):
    ran = load(LOADED[_case], tmp_path, SECRET_KEY="x", DEBUG="1", HOST="0.0.0.0")

    assert ran.returncode != 0
    for name in ("execution.E001", "SECRET_KEY", "execution.E004", "HOST=0.0.0.0"):
        assert name in ran.stdout + ran.stderr


def load(code, folder, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


CHECK = (
    "import sys, runpy; sys.argv = ['manage.py', 'check', '--deploy', '--fail-level', 'INFO'];"
    "runpy.run_path('manage.py', run_name='__main__')"
)
PRODUCTION = {
    "REQUIRE_SECOND_FACTOR": "1",
    "DATABASE_URL": "postgresql://a:b@db.example/c",
    "REDIS_URL": "redis://:b@redis.example/0",
    "HOST": "0.0.0.0",
    "TRUSTED_HOPS": "1",
    "ALLOWED_HOSTS": "trade.example",
}


def test_a_check_of_a_deployment_has_nothing_to_say(tmp_path):
    ran = load(CHECK, tmp_path, **PRODUCTION)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "no issues (0 silenced)" in ran.stdout


def test_every_answer_carries_the_headers(db, settings):
    settings.SECURE_HSTS_SECONDS = 3600
    settings.ALLOWED_HOSTS = ["testserver"]
    for path in ("/healthz", "/login/", "/api/v1/orders"):
        headers = Client().get(path, secure=True).headers

        assert headers["Strict-Transport-Security"].startswith("max-age=3600")
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "no-store" in headers["Cache-Control"]
