"""The Celery application. Messages are hints; the work is in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "execution_site.settings")

app = Celery("execution_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
