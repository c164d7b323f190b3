"""The pages people sign in to."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from execution_site.dashboard import people, views

urlpatterns = [
    path("", views.show_overview, name="overview"),
    path("risk/", views.show_risk, name="risk"),
    path("risk/state", views.show_risk_state, name="risk-state"),
    path("approvals/", views.show_approvals, name="approvals"),
    path("approvals/state", views.show_approvals_state, name="approvals-state"),
    path("confirm/", people.confirm, name="confirm"),
    path("second-factor/", people.second_factor_page, name="second-factor"),
    path("sign-ins/", people.sign_in_list, name="sign-ins"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
