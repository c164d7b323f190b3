"""The worker's watchdog: when silence means that the consumer has died."""

import pickle

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads, prepare_accept_content

from execution_site.celery import app
from execution_site.processes.worker import LOOKS, Silence

HEARD, EXCUSED, NOTHING = (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("_case", "looks", "leaves"),
    [
        ("one look too few", [NOTHING] * (LOOKS - 1), False),
        ("as many as it bears", [NOTHING] * LOOKS, True),
        ("a message begins anew", [NOTHING] * (LOOKS - 1) + [HEARD, NOTHING], False),
        ("with Redis away, or all threads busy", [EXCUSED] * LOOKS * 2, False),
        ("Redis away begins anew", [NOTHING] * (LOOKS - 1) + [EXCUSED, NOTHING], False),
        ("silent after Redis came back", [EXCUSED] * LOOKS + [NOTHING] * LOOKS, True),
    ],
)
def test_silence_is_counted_in_looks(_case, looks, leaves):
    silence = Silence()

    said = [silence.look(heard=heard, excused=excused) for heard, excused in looks]

    assert said == [False] * (len(looks) - 1) + [leaves]


def test_a_message_that_is_no_json_is_refused():
    accepted = prepare_accept_content(app.conf.accept_content)

    with pytest.raises(ContentDisallowed):
        loads(pickle.dumps({}), "application/x-python-serialize", "binary", accept=accepted)
    assert loads(b"{}", "application/json", "utf-8", accept=accepted) == {}
