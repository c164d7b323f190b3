"""Headers that every answer carries: what no page of ours needs of a browser, and what it keeps."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

NOT_NEEDED = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer",
    "microphone", "midi", "payment", "usb",
)  # fmt: skip
POLICY = ", ".join(f"{name}=()" for name in NOT_NEEDED)


def mark(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Forbid devices; have nothing kept that a later user of the browser could read."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Permissions-Policy"] = POLICY
        response.setdefault("Cache-Control", "no-store, private")
        return response

    return answer
