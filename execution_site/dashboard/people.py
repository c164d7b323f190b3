"""The pages of a person's own sign-in: proving who they are, their authenticator."""

import segno
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from execution_site.sign_in import devices, second_factor, sign_ins
from execution_site.sign_in.devices import Authenticator
from execution_site.sign_in.second_factor import CodeRefused
from execution_site.sign_in.sign_ins import SignIn

ENROLMENT = "enrolment"  # in the session: the sealed secret that its person is shown


class PersonRequest(HttpRequest):
    """A request that the guard has let pass: of a person, by a sign-in that counts."""

    user: User
    sign_in: SignIn


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: PersonRequest) -> HttpResponse:
    """Have a person prove who they are: by a code, or where they have none, their password."""
    undone = "undone" in request.GET
    context = {
        "has_authenticator": request.sign_in.has_authenticator,
        "next": _next(request),
        "undone": undone,
    }
    if request.method == "POST":
        now, problem, authenticator = timezone.now(), "", None
        if request.sign_in.has_authenticator:
            try:
                authenticator = second_factor.use_code(request.user, _code(request), now=now)
            except CodeRefused as e:
                problem = str(e)
        elif not _knows_password(request):
            problem = "That is not your password."
        if not problem:
            request.sign_in.prove(authenticator=authenticator, now=now)
            if undone:
                messages.warning(request, "Confirmed. What you sent was not done: do it again.")
            return HttpResponseRedirect(_next(request))
        context["problem"] = problem
    return render(request, "registration/confirm.html", context)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor_page(request: PersonRequest) -> HttpResponse:
    """Show a person's authenticator, or how to get one; each change takes a code."""
    if not request.sign_in.has_authenticator:
        return _enrol(request)
    now, problem = timezone.now(), ""
    try:
        match request.POST.get("do"):
            case "renew":
                codes = second_factor.renew_recovery_codes(request.user, _code(request), now=now)
                return _show_codes(request, codes)
            case "remove":
                second_factor.use_code(request.user, _code(request), now=now)
                name = request.user.get_username()
                second_factor.remove(request.user, actor=name, reason="their own", now=now)
                return redirect("second-factor")
    except CodeRefused as e:
        problem = str(e)
    context = {
        "problem": problem,
        "since": Authenticator.objects.get(user=request.user).created_at,
        "codes_left": second_factor.codes_left(request.user),
    }
    return render(request, "registration/second_factor.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_list(request: PersonRequest) -> HttpResponse:
    """Show a person's sign-ins, and end one of them, or all but this."""
    now = timezone.now()
    if request.method == "POST":
        asked = request.POST.get("end", "")
        if asked == "others":
            sign_ins.end(request.user, keep=request.sign_in, now=now)
        elif asked.isascii() and asked.isdecimal() and len(asked) < 19:
            sign_ins.end(request.user, keep=request.sign_in, only=int(asked), now=now)
        return redirect("sign-ins")
    theirs = SignIn.objects.live(now=now).filter(user=request.user).order_by("-seen_at", "-pk")
    context = {"sign_ins": theirs, "current": request.sign_in}
    return render(request, "registration/sign_ins.html", context)


def _enrol(request: PersonRequest) -> HttpResponse:
    sealed = request.session.get(ENROLMENT) or devices.new_secret(person=request.user.pk)
    problem = ""
    if request.method == "POST" and ENROLMENT in request.session:
        now = timezone.now()
        try:
            made, codes = second_factor.enrol(request.user, sealed, _code(request), now=now)
        except CodeRefused as e:
            problem = str(e)
        else:
            del request.session[ENROLMENT]
            request.sign_in.prove(authenticator=made, now=now)
            return _show_codes(request, codes)
    request.session[ENROLMENT] = sealed
    address, secret = second_factor.spoken(sealed, request.user)
    drawn = segno.make(address, micro=False).svg_inline(scale=4, border=4, light="#ffffff")
    context = {"problem": problem, "secret": secret, "drawn": mark_safe(drawn)}  # noqa: S308 drawn by segno
    return render(request, "registration/enrolment.html", context)


def _show_codes(request: PersonRequest, codes: list[str]) -> HttpResponse:
    """Show recovery codes, once: they are kept nowhere."""
    return render(request, "registration/recovery_codes.html", {"codes": codes})


def _code(request: HttpRequest) -> str:
    return request.POST.get("code", "")[:64]


def _knows_password(request: PersonRequest) -> bool:
    """Tell whether the password is theirs; a wrong one counts as at a sign-in."""
    name, password = request.user.get_username(), request.POST.get("password", "")
    found = authenticate(request, username=name, password=password)
    return found is not None and found.pk == request.user.pk


def _next(request: HttpRequest) -> str:
    """Return where a person was: a page of ours."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    ours = url_has_allowed_host_and_scheme(wanted, None)
    return wanted if ours else reverse("overview")
