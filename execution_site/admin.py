"""The engine room in the console: events, seals, leases and processes, to be read."""

from django.contrib import admin
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from execution_site.console.tables import ReadOnlyAdmin
from execution_site.models import Event, Lease, ProcessStatus, Seal

admin.site.unregister([StaticDevice, TOTPDevice])  # a person's own: manage.py remove_second_factor


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """What happened, in the order it was written."""

    list_display = ("id", "at", "type", "account", "data")
    list_filter = ("type",)
    search_fields = ("id__exact", "account__exact")


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    """The stream's numbers and the hash chain."""

    list_display = ("seq", "event", "hash", "sealed_at")
    list_select_related = ("event",)
    search_fields = ("seq__exact", "event__id__exact")


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Which copy of each singleton works."""

    list_display = ("name", "holder", "epoch", "expires_at")
    ordering = ("name",)


@admin.register(ProcessStatus)
class ProcessStatusAdmin(ReadOnlyAdmin):
    """What the supervisor says of each process."""

    list_display = ("name", "state", "pid", "since", "restarts", "last_exit", "updated_at")
    ordering = ("name",)
