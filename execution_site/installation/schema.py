"""The OpenAPI document: parameters as the views declare them, refusals as problems."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import SAFE_METHODS

from execution_site.rest.http import CONTENT_TYPE

#: What any operation may be answered with, beside what it declares itself.
ALWAYS = {
    400: "A parameter, or the body, is unknown or malformed; `errors` name the fields.",
    404: "There is no such thing, or it is not yours.",
    405: "This address does not know this method.",
    406: "Only JSON is spoken.",
    503: "The database is away, or takes no writes. Try again.",
}
SIGNED_IN = {
    401: "Nobody we know.",
    403: "The key, or the person, may not do this.",
    429: "Too often: `Retry-After` says when to come again, `RateLimit-*` what there is.",
}
CHANGES = {
    409: "What it is about has ended, or its `Idempotency-Key` was used for another request.",
    413: "The body is too large.",
    415: "The body is no JSON.",
}
_TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {"type": "string", "description": "Stable and machine-readable."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": _TEXT, "code": _TEXT, "detail": _TEXT},
                "required": ["field", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "errors"],
}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes how a key signs in."""

    target_class = "orders.api.authentication.ApiKeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the header."""
        said = "`Api-Key PREFIX.SECRET`, as `manage.py create_api_key` prints it."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": said}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes how a browser signs in."""

    target_class = "orders.api.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the cookie."""
        said = "A person's session; what changes something needs the CSRF token beside it."
        name = settings.SESSION_COOKIE_NAME
        return {"type": "apiKey", "in": "cookie", "name": name, "description": said}


class ApiSchema(AutoSchema):
    """Describes an operation of a view."""

    def get_override_parameters(self) -> list[Any]:
        """Return the parameters that the view declares."""
        query = getattr(self.view, "query", {}) if self.method in SAFE_METHODS else {}
        return [OpenApiParameter(name, dict(known.schema)) for name, known in query.items()]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        """Return the operation's own answers and those that any may get."""
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        refusals = ALWAYS | (SIGNED_IN if self.view.get_authenticators() else {})
        if self.method not in SAFE_METHODS:
            refusals |= CHANGES
        for code, description in refusals.items():
            found = answers.setdefault(str(code), self._get_response_for_code(None, str(code)))
            found["description"] = found["description"] or description
        return dict(sorted(answers.items()))

    def _get_response_for_code(
        self,
        serializer: Any,
        status_code: str,
        media_types: Any = None,
        direction: str = "response",
    ) -> dict[str, Any]:
        """Return the description of an answer; refusals are problems unless a type is given."""
        answer: dict[str, Any]
        if status_code < "400" or media_types:
            describe: Any = super()._get_response_for_code
            answer = describe(serializer, status_code, media_types, direction)
        else:
            reference = _problem(self.registry).ref
            answer = {"content": {CONTENT_TYPE: {"schema": reference}}, "description": ""}
        return answer


def _problem(registry: Any) -> Any:
    make: Any = ResolvedComponent
    component = make("Problem", ResolvedComponent.SCHEMA, PROBLEM, object="Problem")
    registry.register_on_missing(component)
    return component
