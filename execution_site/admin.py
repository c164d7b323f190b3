"""The event log and the processes, to look at."""

from django.contrib import admin

from execution_site.console import ReadOnlyAdmin
from execution_site.models import Event, Lease, ProcessStatus, Seal


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened."""

    list_display = ("id", "type", "account", "at")
    list_filter = ("type", "account")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    """The hash chain."""

    list_display = ("seq", "event", "hash", "sealed_at")
    list_select_related = ("event",)
    ordering = ("-seq",)
    show_full_result_count = False


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Who is the one copy."""

    list_display = ("name", "holder", "epoch", "expires_at")


@admin.register(ProcessStatus)
class ProcessStatusAdmin(ReadOnlyAdmin):
    """What runs."""

    list_display = ("name", "state", "pid", "since", "restarts", "last_exit", "updated_at")
