"""The limits, and how much of them is used."""

from typing import Any

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.instruments import decimal_text
from execution_site.http import ApiRequest
from execution_site.listing import answer_list
from risk.models import RiskLimit


class LimitList(APIView):
    """Limits."""

    @extend_schema(operation_id="list_limits", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List the limits that apply to your accounts."""
        ours = Q(connection=None) | Q(connection__name__in=list(request.auth.accounts))
        rows = RiskLimit.objects.filter(ours).select_related("connection")
        return answer_list(request, rows, {"metric": "metric"}, describe)


def describe(limit: RiskLimit) -> dict[str, Any]:
    """Return a limit as clients see it."""
    return {
        "id": limit.pk,
        "account": limit.connection.name if limit.connection else None,
        "metric": limit.metric,
        "value": decimal_text(limit.value),
        "note": limit.note,
    }
