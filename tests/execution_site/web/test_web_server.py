"""The web process ends without refusing or cutting off anybody, and obeys while it waits."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from django.utils import timezone

from execution_site.floor import release
from execution_site.processes.roles import MANAGE, Role

PATH = "/healthz"
READY_SECONDS = 60.0


@pytest.fixture
def web(db):
    """The web role on a socket that stays open over its restarts."""
    release.install(now=timezone.now())
    listener = socket.create_server(("127.0.0.1", 0))
    role = Role("web", "run_web", listener=listener)
    role.start()
    yield role
    role.terminate()
    role.wait(10)
    listener.close()


def get(connection):
    connection.request("GET", PATH)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_who_comes_while_web_is_restarted_waits_and_nobody_is_cut_off(web):
    port = web.listener.getsockname()[1]
    stop, answers, failures = threading.Event(), [], []

    def ask(keeps):
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
        while not stop.is_set():
            one = kept if keeps else http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                answers.append(get(one))
            except (OSError, http.client.HTTPException) as e:
                failures.append(repr(e))
            if not keeps:
                one.close()
            time.sleep(0.01)

    threads = [threading.Thread(target=ask, args=[n % 2 == 0]) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(answers) > 50)
        first = web.pid
        web.terminate()
        web.wait(10)
        assert web.last_exit == -signal.SIGTERM
        before = len(answers)
        web.start()
        assert web.pid != first
        wait_for(lambda: len(answers) > before + 50)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert set(answers) == {200}


def wait_for(told):
    deadline = time.monotonic() + READY_SECONDS
    while not told():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_it_obeys_while_it_waits_for_the_database():
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    with subprocess.Popen(
        [sys.executable, str(MANAGE), "run_web"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as waiting:
        for line in waiting.stdout:
            if "failed" in line or "away" in line:
                break
        waiting.send_signal(signal.SIGTERM)
        started = time.monotonic()
        waiting.communicate(timeout=30)

    assert waiting.returncode == 0
    assert time.monotonic() - started < 5
