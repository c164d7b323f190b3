"""The pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from execution_site.dashboard import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("sign-in", LoginView.as_view(template_name="registration/login.html"), name="login"),
    path("sign-out", LogoutView.as_view(), name="logout"),
]
