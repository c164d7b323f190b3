"""The pages people sign in to."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from execution_site.dashboard import views

urlpatterns = [
    path("", views.show_overview, name="overview"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
