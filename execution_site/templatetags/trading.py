"""How the API's strings are written into a page. static/js/rows.js writes them the same way."""

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

UNKNOWN = "—"

register = template.Library()


@register.filter
def number(value: Any) -> SafeString:
    """Return a decimal string, unchanged as text, in two parts so that columns align on the point.

    Null is an em dash: unknown is not zero.
    """
    text = UNKNOWN if value in {None, ""} else str(value)
    whole, point, fraction = text.partition(".")
    return format_html(
        '<span class="int">{}</span><span class="frac">{}{}</span>', whole, point, fraction
    )


@register.filter
def fixed(value: Any, digits: int) -> str:
    """Return a float with as many digits behind the point; null is an em dash."""
    return UNKNOWN if value in {None, ""} else f"{value:.{digits}f}"


@register.filter
def sign(value: Any) -> str:
    """Return "+", "-" or "0" for a decimal string; nothing where it is unknown."""
    if value in {None, ""}:
        return ""
    if not str(value).strip("-0."):
        return "0"
    return "-" if str(value).startswith("-") else "+"


@register.filter
def clock(value: Any) -> str:
    """Return the time of day of an ISO time, to the second; UTC like all our times."""
    return str(value)[11:19] if value else UNKNOWN


@register.filter
def text(value: Any) -> str:
    """Return a value as text, with nothing for null."""
    return "" if value is None else str(value)


@register.filter
def unmet(checks: Any) -> list[dict[str, Any]]:
    """Return the checks of a decision that refused it."""
    return [check for check in checks or () if check["status"] != "PASSED"]
