"""Django's settings: secure by default, one folder of state, everything else by environment."""

from __future__ import annotations

import os
from pathlib import Path

import environ
from csp.constants import NONE, SELF

from audit.config.environment import (
    keep_from_others,
    read_choice,
    read_database,
    read_endpoints,
    read_flag,
    read_home,
    read_list,
    read_number,
    read_secret_key,
    read_token,
)

BASE_DIR = Path(__file__).resolve().parents[2]
environ.Env.read_env(str(BASE_DIR / ".env"))

keep_from_others()
LABEL_AUDIT_HOME = read_home(os.environ, BASE_DIR)
LABEL_AUDIT_VERSION = "0.1.0"
SECRET_KEY = read_secret_key(os.environ, LABEL_AUDIT_HOME)
DEBUG = read_flag(os.environ, "LABEL_AUDIT_DEBUG", default=False)
ALLOWED_HOSTS = read_list(
    os.environ, "LABEL_AUDIT_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]
)
# Set it where a proxy ends TLS: cookies are then sent over HTTPS only.
BEHIND_HTTPS = read_flag(os.environ, "LABEL_AUDIT_HTTPS", default=False)
# How many proxies of our own add to X-Forwarded-For; what the header says beyond is anybody's.
TRUSTED_PROXIES = read_number(
    os.environ, "LABEL_AUDIT_TRUSTED_PROXIES", default=0, minimum=0, maximum=9
)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "csp",
    "audit",
    "reviews",
]

MIDDLEWARE = [
    "audit.views.request_ids.RequestIds",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "audit.config.api_door.ApiDoor",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "audit.views.sessions.EndSessions",
    # Default deny: a view without a log-in says so itself.
    "audit.views.sessions.AskForLogIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "audit.views.errors.NameRefusedMethods",
    "audit.views.addresses.NumbersOfRows",
    "audit.views.conflicts.RetryConflicts",
]

ROOT_URLCONF = "audit.config.urls"
WSGI_APPLICATION = "audit.config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["audit.templatetags.figures"],
            "libraries": {"figures": "audit.templatetags.figures"},
        },
    },
]

DATABASES = {"default": read_database(os.environ, LABEL_AUDIT_HOME)}
# How long somebody waits for SQLite while somebody else writes: workers and commands, and people.
SQLITE_SECONDS, SQLITE_SECONDS_FOR_PEOPLE = 20, 5
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "audit.config.sqlite"
    DATABASES["default"]["OPTIONS"] = {
        # A deferred transaction that turns into a write fails at once when another one
        # writes; IMMEDIATE waits its turn instead.
        "transaction_mode": "IMMEDIATE",
        "timeout": SQLITE_SECONDS,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Opening SQLite anew for each request costs more than most requests: it reads the schema again,
# and whoever closes last moves the write-ahead log into the file.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = [
    "audit.config.password_hashing.Argon2id",
    # Read, and written anew as the first at the next log-in.
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"max_similarity": 0.6},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "reviews:home"
LOGOUT_REDIRECT_URL = "login"

SESSION_COOKIE_AGE = 12 * 3600
IDLE_SECONDS = 60 * read_number(
    os.environ, "LABEL_AUDIT_IDLE_MINUTES", default=120, minimum=5, maximum=720
)
if BEHIND_HTTPS:
    # Names that browsers take over HTTPS from this very host alone, not from a sibling domain.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# The log-in page's own: whoever logged in here before isn't kept out by strangers who guess.
KNOWN_BROWSER_COOKIE = "__Secure-known-browser" if BEHIND_HTTPS else "known-browser"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_HTTPS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = BEHIND_HTTPS
# Probes and monitors come without the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_HTTPS
if BEHIND_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        # Charts are saved as pictures by way of a data: image, which can't run anything.
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
CSRF_FAILURE_VIEW = "audit.views.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = LABEL_AUDIT_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "audit.config.npm_files.NpmFinder",
]
# Front-end libraries by the name pages use -> the file inside node_modules.
NPM_FILES = {
    "npm/echarts.js": "echarts/dist/echarts.min.js",
    "npm/htmx.js": "htmx.org/dist/htmx.min.js",
    "npm/katex.js": "katex/dist/katex.min.js",
    "npm/panzoom.js": "@panzoom/panzoom/dist/panzoom.min.js",
}
NPM_ROOT = BASE_DIR / "node_modules"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# The engine. Without Redis, messages are files in one folder: same code, one machine.
REDIS_URL = os.environ.get("LABEL_AUDIT_REDIS", "").strip()
BROKER_FOLDER = LABEL_AUDIT_HOME / "broker"
CHUNK_ITEMS = read_number(
    os.environ, "LABEL_AUDIT_CHUNK_ITEMS", default=256, minimum=1, maximum=100_000
)
# A chunk that takes longer is stopped, and tried again or narrowed down.
CHUNK_SECONDS = read_number(
    os.environ, "LABEL_AUDIT_CHUNK_SECONDS", default=1800, minimum=10, maximum=86_400
)
# A worker that hasn't renewed its claim for this long is taken for dead.
CLAIM_SECONDS = read_number(
    os.environ, "LABEL_AUDIT_CLAIM_SECONDS", default=30, minimum=2, maximum=3600
)
RECONCILE_SECONDS = read_number(
    os.environ, "LABEL_AUDIT_RECONCILE_SECONDS", default=5, minimum=1, maximum=600
)
# Where scores lie: a folder, or a bucket that workers on several machines share.
SCORE_STORE = os.environ.get("LABEL_AUDIT_SCORE_STORE", "").strip()
SCORE_CACHE_BYTES = 10**9 * read_number(
    os.environ, "LABEL_AUDIT_SCORE_CACHE_GB", default=50, minimum=1, maximum=1_000_000
)
# Folders of this machine from which the API may import; commands import from anywhere.
IMPORT_ROOTS = read_list(os.environ, "LABEL_AUDIT_IMPORT_ROOTS", default=[])
# What the engine's parent calls again and again: wake-ups, and repairs after crashes.
LABEL_AUDIT_ANNOUNCERS = [
    "audit.tasks.announce_work",
    "reviews.tasks.announce_releases",
    "reviews.tasks.announce_measurements",
    "reviews.tasks.announce_votes",
]
LABEL_AUDIT_RECONCILERS = [
    "audit.services.reconcile.reconcile",
    "audit.services.measurements.reconcile_measurements",
    "audit.services.imports.reconcile_imports",
    "reviews.services.releases.reconcile_releases",
    "reviews.services.leases.reopen_expired",
]
# What `/readyz` looks at beside database, disk and Redis, and the figures of `/metrics`.
LABEL_AUDIT_PROBES = [
    "audit.checkup.readiness.look_at_work",
    "reviews.monitoring.look_at_leases",
]
LABEL_AUDIT_GAUGES = [
    "audit.checkup.gauges.engine_gauges",
    "audit.checkup.gauges.storage_gauges",
    "reviews.monitoring.review_gauges",
]
# Who shows it may read figures and reasons; without one, whoever asks from this very host.
METRICS_TOKEN = read_token(os.environ, "LABEL_AUDIT_METRICS_TOKEN")
# An item that an annotator holds returns to the queue after this long without a sign of life.
LEASE_SECONDS = read_number(
    os.environ, "LABEL_AUDIT_LEASE_SECONDS", default=300, minimum=30, maximum=86_400
)

# Model servers that experts and judges may ask, by name. Their keys are read where they are used.
ENDPOINTS = read_endpoints(os.environ)

# Lines for people, or one JSON document a line for what collects logs.
LOG_FORMAT = read_choice(os.environ, "LABEL_AUDIT_LOG_FORMAT", choices=("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "audit.log_lines.LineFormatter"},
        "json": {"()": "audit.log_lines.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "audit": {"level": "INFO"},
        "reviews": {"level": "INFO"},
        # The web server's own words come the same way, and escaped: they quote what clients send.
        "gunicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # It warns that messages in a folder have no host name.
        "kombu.connection": {"level": "ERROR"},
    },
}
