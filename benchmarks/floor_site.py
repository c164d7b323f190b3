"""The floor of the web rows: a DRF view with a serializer, token authentication and one insert."""

import os

import environ
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="floor",  # noqa: S106 it guards nothing
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": environ.Env().db_url("DATABASE_URL")
        | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    },
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "rest_framework",
        "rest_framework.authtoken",
    ],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # answers say their length
    ROOT_URLCONF="benchmarks.floor_site",
    USE_TZ=True,
)

import django  # noqa: E402 Django's models need the settings

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import permissions, serializers  # noqa: E402
from rest_framework.authentication import TokenAuthentication  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class FloorRow(models.Model):
    """What is inserted."""

    signal_id = models.CharField(max_length=128, unique=True)
    symbol = models.CharField(max_length=64)
    quantity = models.DecimalField(max_digits=28, decimal_places=10)

    class Meta:
        app_label = "floor"
        db_table = "floor_row"

    def __str__(self) -> str:
        return self.signal_id


class FloorInput(serializers.Serializer[FloorRow]):
    """Five fields, as a small API has them."""

    signal_id = serializers.CharField(max_length=128)
    strategy = serializers.SlugField(max_length=64)
    symbol = serializers.CharField(max_length=64)
    action = serializers.ChoiceField(choices=["BUY", "SELL"])
    quantity = serializers.DecimalField(max_digits=28, decimal_places=10)


class FloorView(APIView):
    """Insert one row."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)

    def post(self, request: Request) -> Response:
        """Insert what was sent."""
        form = FloorInput(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        row = FloorRow.objects.create(
            **{name: values[name] for name in ("signal_id", "symbol", "quantity")}
        )
        return Response({"id": row.pk, **form.data}, status=201)


def prepare() -> str:
    """Make the tables and a token; return the token."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", "authtoken", verbosity=0)
    with connection.schema_editor() as schema:
        schema.create_model(FloorRow)
    user, _ = User.objects.get_or_create(username="floor")
    return str(Token.objects.get_or_create(user=user)[0].key)


urlpatterns = [path("api/v1/signals", FloorView.as_view())]
application = get_wsgi_application()

if __name__ == "__main__":
    os.write(1, f"{prepare()}\n".encode())
