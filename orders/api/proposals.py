"""Proposals that wait for a second person, and what that person says."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from execution_site.floor.audit import ReasonRequired
from execution_site.rest.http import ApiRequest, Problem
from execution_site.rest.idempotency import keyed
from execution_site.rest.listing import ApiView
from orders.api.actions import ReasonInput, reason_required
from orders.control.emergency import NotReleasable
from orders.two_persons import proposals
from orders.two_persons.proposals import MayNotDecide, NotDecidable
from risk.four_eyes import SamePerson
from risk.models import ChangeRequest


class ProposalList(ApiView):
    """Changes that take two people."""

    @extend_schema(operation_id="list_proposals", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List the proposals that wait, newest first; `changes` says in words what each changes."""
        waiting = _visible(request).filter(status=ChangeRequest.Status.WAITING)
        rows = waiting.order_by("-pk")
        shown = [proposals.describe(row) for row in rows[:100]]
        return Response({"results": shown, "next": None, "previous": None})


def _visible(request: ApiRequest) -> QuerySet[ChangeRequest]:
    """Return the proposals that concern the client's accounts, or everything."""
    return ChangeRequest.objects.filter(account__in=["", *request.auth.accounts])


class _Decide(ApiView):
    """Deciding on one."""

    def decided(self, request: ApiRequest, pk: int, decide: object) -> Response:
        form = ReasonInput(data=request.data)
        form.is_valid(raise_exception=True)
        reason = form.validated_data["reason"]
        request.auth.require_reach(get_object_or_404(_visible(request), pk=pk).account)
        try:
            row = decide(pk, actor=request.auth.actor, reason=reason, now=timezone.now())  # type: ignore[operator]
        except ReasonRequired as e:
            raise reason_required() from e
        except (SamePerson, MayNotDecide) as e:
            raise Problem(403, e.code, str(e)) from e
        except (NotDecidable, NotReleasable) as e:
            raise Problem(409, e.code, str(e)) from e
        return Response(proposals.describe(row))

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the proposal as it is now."""
        return Response(proposals.describe(ChangeRequest.objects.get(pk=pk)))


class ProposalApprove(_Decide):
    """Approving a proposal of somebody else's."""

    @extend_schema(
        operation_id="approve_proposal", request=ReasonInput, responses={200: dict, 409: dict}
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Apply it, against what is there now."""
        return self.decided(request, pk, proposals.approve)


class ProposalDecline(_Decide):
    """Declining a proposal."""

    @extend_schema(
        operation_id="decline_proposal", request=ReasonInput, responses={200: dict, 409: dict}
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Decline it; its proposer may withdraw it so."""
        return self.decided(request, pk, proposals.decline)
