"""Tables of the console in which some changes wait for a second person."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from execution_site.console.tables import AuditedAdmin, actor_of
from orders.two_persons import guarded_rows, proposals
from risk.four_eyes import ChangeRequest

PROPOSED = "Proposed: a second person must approve it. Nothing has changed yet."


class Proposing(AuditedAdmin):
    """A table whose form may end in a proposal: nothing is saved then, and the page says so."""

    def propose(self, request: HttpRequest, proposal: ChangeRequest) -> None:
        """Keep with the request that it has only been proposed."""
        request.proposal = proposal  # type: ignore[attr-defined]

    def is_proposed(self, request: HttpRequest) -> bool:
        """Tell whether what was asked for waits for a second person."""
        return hasattr(request, "proposal")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save what belongs to the row, unless it has only been proposed."""
        if not self.is_proposed(request):
            super().save_related(request, form, formsets, change)

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Say what was changed; where nothing was, formsets were not saved either."""
        if self.is_proposed(request):
            return []
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        """Log what was added."""
        return None if self.is_proposed(request) else super().log_addition(request, obj, message)

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        """Log what was changed."""
        return None if self.is_proposed(request) else super().log_change(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Say what came of it."""
        if self.is_proposed(request):
            self.message_user(request, PROPOSED, messages.WARNING)
            return self.response_post_save_add(request, obj)
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Say what came of it."""
        if self.is_proposed(request):
            self.message_user(request, PROPOSED, messages.WARNING)
            return self.response_post_save_change(request, obj)
        return super().response_change(request, obj)


class TwoPersonsAdmin(Proposing):
    """A table in which what lets more through is proposed where it takes two persons.

    What lets more through: orders/two_persons/loosening.py.
    """

    def sealed(self, obj: Any, form: Any) -> bytes | None:
        """Return the credentials that a form gives, sealed to their row; None leaves them."""
        return None

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it, or propose it."""
        new = guarded_rows.wanted(obj, form.cleaned_data)
        sealed = self.sealed(obj, form)
        if sealed is not None:
            new["credentials_sealed"] = guarded_rows.mark(sealed)
        if (kind := guarded_rows.kind_for_two(obj, new)) is None:
            super().save_model(request, obj, form, change)
            return
        proposal = proposals.propose(
            kind,
            **guarded_rows.asked(obj, new),
            actor=actor_of(request),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            credentials_sealed=sealed or b"",
        )
        self.propose(request, proposal)
