"""A session whose sign-in does not count opens nothing of the API, with whatever header."""

import re

import pytest

from execution_site.rest.permissions import API, ENDPOINTS
from execution_site.sign_in import guard
from execution_site.sign_in.sign_ins import SignIn
from tests.execution_site.sign_in.second_factors import signed_in, staff

ROUTES = [
    (method, "/" + API + re.sub(r"<int:\w+>", "1", re.sub(r"<symbol:\w+>", "AAPL", path)))
    for path, methods in ENDPOINTS.items()
    for method in methods
    if not guard.is_public(API + path)
]
HEADERS = {
    "none": {},
    "an empty one": {"authorization": ""},
    "one of a space": {"authorization": " "},
    "another scheme": {"authorization": "Basic b2xnYTp4"},
    "the scheme alone": {"authorization": "Api-Key"},
    "no such key": {"authorization": "Api-Key nobody.secret"},
}


def opened(http, headers):
    """Return the endpoints that do not refuse."""
    return [
        (method, path)
        for method, path in ROUTES
        if getattr(http, method)(path, content_type="application/json", headers=headers).status_code
        not in {401, 403}
    ]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("lacks", ["the second factor", "the sign-in"])
def test_nothing_is_open_to_a_session_that_does_not_count(account, settings, lacks, header):
    settings.REQUIRE_SECOND_FACTOR = lacks == "the second factor"
    http = signed_in(staff())
    if lacks == "the sign-in":
        SignIn.objects.all().delete()

    assert len(ROUTES) > 35
    assert opened(http, HEADERS[header]) == []
