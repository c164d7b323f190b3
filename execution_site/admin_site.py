"""The admin console: the stock admin under our title and theme."""

from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.sites import AdminSite


class ConsoleSite(AdminSite):
    """The stock admin site, titled."""

    site_header = "Execution console"
    site_title = "Execution console"
    index_title = "What trades, and under which rules"


class ConsoleConfig(AdminConfig):
    """Makes ConsoleSite the default admin site."""

    default_site = "execution_site.admin_site.ConsoleSite"
