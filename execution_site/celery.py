"""The Celery application. Messages are hints; the work is in PostgreSQL."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")

app = Celery("execution_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.add_defaults(lambda: {"broker_url": settings.REDIS_SECRET_URL})  # once settings are read
app.autodiscover_tasks()
