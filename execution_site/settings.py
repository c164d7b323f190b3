"""Every setting of the site. Each knob comes from the environment; reading this starts nothing."""

import os
from pathlib import Path
from typing import Any

import environ

from execution_site.floor import secret_keys
from execution_site.installation import safety
from execution_site.processes import embedded

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).resolve()

# --- Identity and secrets -------------------------------------------------------------------
# Given by the environment, or made once under DATA_DIR: there is no default secret.
DEBUG = env.bool("DEBUG", default=False)
_keys = secret_keys.load(DATA_DIR, os.environ)
SECRET_KEY, *SECRET_KEY_FALLBACKS = _keys["SECRET_KEY"]
CREDENTIALS_KEY, *CREDENTIALS_KEY_FALLBACKS = _keys["CREDENTIALS_KEY"]
AUDIT_KEY, *AUDIT_KEY_FALLBACKS = _keys["AUDIT_KEY"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Where it listens, and what the demo adds --------------------------------------------------
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
TRUSTED_HOPS = env.int("TRUSTED_HOPS", default=0)  # proxies of ours before it
# What is reached over a network is reached over TLS; a proxy ends it.
HTTPS = env.bool("HTTPS", default=TRUSTED_HOPS > 0 or not safety.is_loopback(HOST))
DEMO = env.bool("DEMO", default=False)
FEED = env.str("FEED", default="synthetic" if DEMO else "none")
FEED_SEED = env.int("FEED_SEED", default=7)

# --- Where the head of the audit trail is noted beside DATA_DIR, and how often -------------------
AUDIT_ANCHOR_FILE = env.str("AUDIT_ANCHOR_FILE", default="")
AUDIT_ANCHOR_COMMAND = env.str("AUDIT_ANCHOR_COMMAND", default="")
AUDIT_ANCHOR_WEBHOOK = env.str("AUDIT_ANCHOR_WEBHOOK", default="")
AUDIT_ANCHOR_SECONDS = env.int("AUDIT_ANCHOR_SECONDS", default=3600)

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "execution_site.admin_site.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "axes",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "execution_site",
    "brokers",
    "portfolio",
    "risk",
    "orders",
]
MIDDLEWARE = [
    "execution_site.rest.error_pages.ErrorPages",
    "execution_site.web.answer_headers.mark",
    "execution_site.rest.door.refuse_unreadable_address",
    "execution_site.rest.door.bound_sign_ins",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "execution_site.sign_in.guard.PageGuard",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "execution_site.web.durable_reads.DurableReads",
]
ROOT_URLCONF = "execution_site.urls"
WSGI_APPLICATION = None  # uvicorn serves execution_site.asgi, which holds the WSGI application
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL and Redis -----------------------------------------------------------------------
# manage.py sets both from the embedded services when they are unset; nothing listens on port 9.
# Both have passwords: neither stands in a setting whose name says nothing of it.
DATABASE_SECRET_URL = env.str("DATABASE_URL", default="postgresql://unset@127.0.0.1:9/unset")
REDIS_SECRET_URL = env.str("REDIS_URL", default="redis://127.0.0.1:9/0")
OWN_DATABASE = bool(env.str("DATABASE_URL", default="")) and not embedded.is_embedded(
    DATABASE_SECRET_URL, DATA_DIR
)


def _database(application_name: str) -> dict[str, Any]:
    """Return one connection to the database; a transaction that hangs is ended by the server."""
    return {
        **env.db_url_config(DATABASE_SECRET_URL),
        "ENGINE": "execution_site.floor.postgres",
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": application_name,
            "connect_timeout": 3,
            "options": (
                "-c lock_timeout=2000 -c statement_timeout=5000"
                " -c idle_in_transaction_session_timeout=10000 -c transaction_timeout=20000"
                " -c plan_cache_mode=force_generic_plan -c jit=off"
            ),
        },
    }


DATABASES = {
    "default": _database("execution"),
    # The paper venue commits on a connection of its own, as a venue across a network would.
    "paper": {**_database("paper-venue"), "TEST": {"MIRROR": "default"}},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery: messages are hints; the work is in PostgreSQL --------------------------------------
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "priority_steps": [0],  # each step is one more key per queue in every poll
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "monitor"
# A late hint is useless: each message expires before the next one comes.
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "orders.sweep", "schedule": 1.0, "options": {"expires": 1}},
}
WORKER_THREADS = env.int("WORKER_THREADS", default=8)

# --- Sign-in ------------------------------------------------------------------------------------
#: The first hashes; what the others have hashed is hashed anew when its user signs in.
PASSWORD_HASHERS = [
    "execution_site.sign_in.hashers.OneLane",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
#: Wrong passwords for a name that lock it: for the address that they came from, and for all.
LOCKOUT_FAILURES = env.int("LOCKOUT_FAILURES", default=5)
LOCKOUT_FAILURES_ANYWHERE = env.int("LOCKOUT_FAILURES_ANYWHERE", default=50)
LOCKOUT_MINUTES = env.int("LOCKOUT_MINUTES", default=15)  # after the last of them
#: Whether staff need an authenticator: off where something before the site asks for one.
REQUIRE_SECOND_FACTOR = env.bool("REQUIRE_SECOND_FACTOR", default=not DEMO)
OTP_TOTP_ISSUER = "Execution"
AXES_HANDLER = "execution_site.sign_in.lockout.Handler"
AXES_LOCKOUT_CALLABLE = "execution_site.sign_in.lockout.page"
AXES_CLIENT_IP_CALLABLE = "execution_site.sign_in.lockout.address_of"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = AXES_ENABLE_ADMIN = AXES_VERBOSE = False
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
#: A session ends so long after its sign-in, and so long after the last request of its person.
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=12) * 3600
SESSION_IDLE_MINUTES = env.int("SESSION_IDLE_MINUTES", default=60)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "execution_site.rest.error_pages.forged"

# --- Limits from outside: 0 is none, and a check says so (execution.W010) -----------------------
# A client is a key's or a person's; what it asks for at once may be some seconds' worth of each.
RATE_WRITES_PER_SECOND = env.float("RATE_WRITES_PER_SECOND", default=1_000)  # requests of a client
RATE_READS_PER_SECOND = env.float("RATE_READS_PER_SECOND", default=200)  # 100 rows of a page are 1
RATE_URGENT_PER_SECOND = env.float("RATE_URGENT_PER_SECOND", default=100)  # kills and cancels
RATE_ANONYMOUS_PER_MINUTE = env.float("RATE_ANONYMOUS_PER_MINUTE", default=600)  # of an address
RATE_SIGN_INS_PER_MINUTE = env.float("RATE_SIGN_INS_PER_MINUTE", default=60)  # of an address
CONNECTIONS_PER_ADDRESS = env.int("CONNECTIONS_PER_ADDRESS", default=1_000)  # to one web process
SOCKETS_PER_CLIENT = env.int("SOCKETS_PER_CLIENT", default=50)  # to one web process
SOCKETS_PER_ADDRESS = env.int("SOCKETS_PER_ADDRESS", default=200)  # to one web process

# --- Browser security ---------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # asked beside the proxy, not through it
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=365 * 86_400 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"

# --- Pages and files ----------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True

# --- REST ---------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orders.api.authentication.ApiKeyAuthentication",
        "orders.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["execution_site.rest.permissions.Listed"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["execution_site.rest.http.StrictJSONParser"],
    "EXCEPTION_HANDLER": "execution_site.rest.http.problem_response",
    "DEFAULT_SCHEMA_CLASS": "execution_site.installation.schema.ApiSchema",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Execution engine",
    "DESCRIPTION": "Submit trading signals; read orders, fills, positions and PnL.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "PATH_CONVERTER_OVERRIDES": {"symbol": str},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Logging ------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {
        "one_line_a_cause": {"()": "execution_site.floor.logs.OneLineACause"},
        "no_client_errors": {"()": "execution_site.floor.logs.NoClientErrors"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["no_client_errors", "one_line_a_cause"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # What happens each second is in the event log, not in the console.
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},  # Django's own handler knows no filter of ours
    }
    | {
        name: {"level": "WARNING"}
        for name in ("httpx", "celery.beat", "celery.worker.strategy", "celery.app.trace")
    },
}
