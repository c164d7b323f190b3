"""The site as an application."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class SiteConfig(AppConfig):
    """Registers the system checks of every application."""

    name = "execution_site"
    verbose_name = "System"

    def ready(self) -> None:
        """Import each application's `checks` where it has any of Django's kind."""
        autodiscover_modules("checks")
