"""Who asked, and by which scheme: the word of our own proxies alone counts."""

import pytest

from execution_site.web.proxies import as_seen_outside

PEER = ("10.0.0.1", 4711)


def seen(hops, *headers, scheme="http"):
    scope = {
        "type": "http",
        "scheme": scheme,
        "client": PEER,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    outside = as_seen_outside(scope, hops=hops)
    assert all(not name.startswith(b"x-forwarded") for name, _ in outside["headers"])
    return outside["client"][0], outside["scheme"]


@pytest.mark.parametrize(
    ("_case", "hops", "forwarded", "expected"),
    [
        ("no proxy is trusted", 0, "6.6.6.6", "10.0.0.1"),
        ("one proxy", 1, "1.2.3.4", "1.2.3.4"),
        ("what a client wrote before it", 1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("two proxies", 2, "6.6.6.6, 1.2.3.4, 10.0.0.9", "1.2.3.4"),
        ("fewer entries than proxies: not through them", 2, "6.6.6.6", "10.0.0.1"),
        ("no entry", 1, "", "10.0.0.1"),
        ("no address", 1, "<script>", "10.0.0.1"),
        ("IPv6", 1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_whom_a_request_comes_from(_case, hops, forwarded, expected):
    assert seen(hops, ("x-forwarded-for", forwarded))[0] == expected


def test_an_address_in_several_headers_is_one_list():
    assert seen(1, ("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4"))[0] == "1.2.3.4"


@pytest.mark.parametrize(
    ("_case", "hops", "proto", "scheme", "expected"),
    [
        ("no proxy is trusted", 0, "https", "http", "http"),
        ("one proxy", 1, "https", "http", "https"),
        ("a socket", 1, "https", "ws", "wss"),
        ("a proxy without TLS", 1, "http", "http", "http"),
        ("what a client wrote before it", 1, "https, http", "http", "http"),
        ("nothing", 1, "", "http", "http"),
    ],
)
def test_by_which_scheme(_case, hops, proto, scheme, expected):
    assert seen(hops, ("x-forwarded-proto", proto), scheme=scheme)[1] == expected
