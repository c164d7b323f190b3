"""The limits, and how much of each is used."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from execution_site.rest import parameters
from execution_site.rest.http import ApiRequest
from execution_site.rest.listing import ApiView
from orders.control import limit_use
from risk.limits import Metric


class LimitList(ApiView):
    """Limits."""

    query = {"metric": parameters.one_of(Metric)}

    @extend_schema(operation_id="list_limits", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List the limits in force on your accounts, each with its use and headroom."""
        metric = self.asked.get("metric")
        book = limit_use.load(request.auth.accounts)
        rows = limit_use.effective(request.auth.accounts, now=timezone.now())
        shown = [limit_use.describe(r, book) for r in rows if metric in {None, r.metric}]
        return Response({"results": shown, "next": None, "previous": None})
