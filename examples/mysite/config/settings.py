"""Settings of the question board.

It runs as it stands for development. Everything that differs in production
comes from environment variables, all named MYSITE_...; README.md lists them.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name, default="0"):
    """Whether an environment variable switches something on. Only "1" does."""
    return os.environ.get(name, default) == "1"


# Development or production

DEBUG = flag("MYSITE_DEBUG", default="1")

# Everybody can read this key, so it protects nothing: it signs the sessions of
# a development server and is refused anywhere else.
DEVELOPMENT_KEY = "development-only-not-a-secret"

SECRET_KEY = os.environ.get("MYSITE_SECRET_KEY", DEVELOPMENT_KEY)
if SECRET_KEY == DEVELOPMENT_KEY and not DEBUG:
    raise ImproperlyConfigured("MYSITE_DEBUG is not 1: set MYSITE_SECRET_KEY to a secret of your own.")

# The names this site answers to. Django compares them with the Host header, so
# a gateway has to pass on the Host that the browser sent (or see below).
ALLOWED_HOSTS = os.environ.get("MYSITE_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

# The pages /whoami/ and /slow/ are for looking at a gateway, not for the public:
# the first shows request headers, the second keeps a worker busy.
DIAGNOSTICS = DEBUG or flag("MYSITE_WHOAMI")


# Behind a gateway
#
# To Django, the gateway is the client. What the browser asked for, the scheme
# and the host, arrives in X-Forwarded-Proto and X-Forwarded-Host. Anybody can
# write such headers, so they may be believed only when every request comes
# through a gateway that replaces them. Hence: off until you say so.
#
# CSRF_TRUSTED_ORIGINS stays empty: once Django knows the scheme and the host,
# the site's own forms come from its own origin.

if flag("MYSITE_BEHIND_GATEWAY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True

# Say so when browsers reach the site by https, and only then: over plain http
# they would not send these cookies back, and nobody could log in.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = flag("MYSITE_HTTPS")

# members/ holds files for those who are logged in. Where the gateway sends them,
# this is the path below which it looks for what an X-Accel-Redirect names, such
# as /protected. Without it Django sends them itself, which is for development.
MEMBERS_ROOT = BASE_DIR / "members"
ACCEL = os.environ.get("MYSITE_ACCEL", "")


# The application

INSTALLED_APPS = [
    "questions",
    "demo",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

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
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"


# Data
#
# Several worker processes share one SQLite file. WAL lets them read while one
# writes; an immediate transaction takes its turn at the start, where SQLite can
# wait (up to `timeout` seconds), instead of failing half-way.

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("MYSITE_DATABASE", BASE_DIR / "db.sqlite3"),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;",
        },
    },
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# DATA_UPLOAD_MAX_MEMORY_SIZE keeps its default of 2.5 MB. It limits what Django
# loads into memory; the uploads in demo/views.py are read piece by piece.


# Static files
#
# static/ holds our own files. `manage.py collectstatic` copies them and the
# admin's into STATIC_ROOT, and that directory is what the gateway serves:
# a style sheet then never wakes a Python process.

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = os.environ.get("MYSITE_STATIC_ROOT", BASE_DIR / "staticfiles")


# Messages go to standard error, where the server that runs us collects them.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {
        "django": {"handlers": ["console"], "level": "WARNING"},
        "django.request": {"level": "ERROR"},  # that a page was not found is no news
    },
}
