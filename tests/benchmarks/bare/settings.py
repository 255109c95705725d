"""The bare site's settings: the installation's database and key, and what a log-in needs."""

from audit.config.settings import (
    ALLOWED_HOSTS,
    DATABASES,
    DEFAULT_AUTO_FIELD,
    LABEL_AUDIT_HOME,
    SECRET_KEY,
)

__all__ = ["ALLOWED_HOSTS", "DATABASES", "DEFAULT_AUTO_FIELD", "LABEL_AUDIT_HOME", "SECRET_KEY"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "tests.benchmarks.bare",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
ROOT_URLCONF = "tests.benchmarks.bare.views"
WSGI_APPLICATION = "tests.benchmarks.bare.wsgi.application"
USE_TZ = True
