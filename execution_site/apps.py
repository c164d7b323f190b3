"""The site as an application."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from execution_site.floor import secret_keys
from execution_site.installation import safety


class UnsafeStart(ImproperlyConfigured):
    """The application is not loaded; the message says why."""


class SiteConfig(AppConfig):
    """Refuses to be loaded unsafe, and registers the system checks of every application."""

    name = "execution_site"
    verbose_name = "System"

    def ready(self) -> None:
        """Look at the settings, then import each application's `checks`.

        :raises UnsafeStart: the settings are no installation that may run
        """
        found = safety.dangers(
            debug=settings.DEBUG,
            demo=settings.DEMO,
            host=settings.HOST,
            trusted_hops=settings.TRUSTED_HOPS,
            allowed_hosts=settings.ALLOWED_HOSTS,
            keys={name: getattr(settings, name) for name in secret_keys.NAMES},
            own_database=settings.OWN_DATABASE,
        )
        if text := "\n".join(map(str, found)):
            raise UnsafeStart(f"Not started:\n{text}")
        autodiscover_modules("checks")
        sign_ins = import_module(
            "execution_site.sign_in.sign_ins"
        )  # a model: not before the applications
        user_logged_in.connect(sign_ins.begin)
