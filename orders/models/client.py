"""Who submits signals: API clients, their keys, and what each may do."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from brokers.models import BrokerConnection
from risk import four_eyes
from risk.change_kinds import ChangeKind

PREFIX_BYTES = 6
SECRET_BYTES = 32


class ApiClient(models.Model):
    """A sender of signals: a strategy's process, or a person's browser. It outlives its keys.

    `user` is set for a person's browser, `owner` for whatever else is theirs.
    """

    name = models.SlugField(max_length=64, unique=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="api_clients",
        help_text="The person whose client this is. One of nobody's neither proposes nor approves.",
    )
    accounts = models.ManyToManyField(BrokerConnection, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API client"

    def __str__(self) -> str:
        return self.name

    @property
    def person_id(self) -> int | None:
        """Return the id of the person behind it, None where nobody is."""
        return self.owner_id or self.user_id


class ApiKey(models.Model):
    """One secret of a client. Only its SHA-256 is kept: 32 random bytes need no slow hash."""

    client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="keys")
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=16))
    networks = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.client} {self.prefix}"

    def accepts(self, secret: str, *, now: datetime) -> bool:
        """Tell whether the secret is this key's and the key still counts."""
        ours = hmac.compare_digest(self.secret_hash, hash_secret(secret))
        live = self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
        return ours and live


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def networks_of(texts: Iterable[str]) -> list[str]:
    """Return networks in their one spelling: an address, or CIDR.

    :raises ValueError: one is none
    """
    return [str(ipaddress.ip_network(text.strip())) for text in texts if text.strip()]


def issue_key(
    client: ApiClient,
    *,
    scopes: list[str],
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return it with `PREFIX.SECRET`, which is shown this once.

    Where keys take two persons it has ended as it is made, and is good for nothing until two
    persons give it a later end.

    :raises ValueError: a network is none
    """
    if four_eyes.takes_two(ChangeKind.KEY):
        expires_at = timezone.now()
    prefix, secret = (
        secrets.token_hex(PREFIX_BYTES),
        secrets.token_urlsafe(SECRET_BYTES),
    )
    key = ApiKey.objects.create(
        client=client,
        prefix=prefix,
        secret_hash=hash_secret(secret),
        scopes=scopes,
        networks=networks_of(networks),
        expires_at=expires_at,
    )
    return key, f"{prefix}.{secret}"
