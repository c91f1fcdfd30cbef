"""One settings file. What differs between deployments is an environment variable.

With a bare environment the project boots in development mode on loopback: SQLite and local files
under `var/`. Production mode (TIEBREAK_MODE=production) refuses to start when something is unsafe.
"""

import os
import re
import socket
from datetime import timedelta
from pathlib import Path

import django_stubs_ext
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.production import Deployment, faults
from formats import logs

django_stubs_ext.monkeypatch()

# Numpy's products of matrices are small here: on a busy machine its threads cost more by waiting
# for one another than they save (an agreement panel took three times the CPU). Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def given(name: str, default: str) -> str:
    """A text of the environment; empty, as in .env.example, means not given."""
    return env.str(name, default="") or default


SECRET_FILES = (
    "SECRET_KEY_FILE",
    "TIEBREAK_PSEUDONYM_SALT_FILE",
    "MEDIA_S3_SECRET_KEY_FILE",
    "TIEBREAK_OIDC_CLIENT_SECRET_FILE",
)


def secret(name: str, default: str = "") -> str:
    """A text of the environment, or of the file that NAME_FILE names, as container secrets are."""
    path = given(f"{name}_FILE", "")
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else given(name, default)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE names {path}, which cannot be read: {error.strerror}"
        ) from None


MODE = given("TIEBREAK_MODE", "development")
if MODE not in {"development", "production"}:
    raise ImproperlyConfigured(f"TIEBREAK_MODE is {MODE!r}; expected development or production")
PRODUCTION = MODE == "production"
DEBUG = env.bool("TIEBREAK_DEBUG", default=False)

VAR = Path(given("TIEBREAK_VAR", str(BASE_DIR / "var")))
MEDIA_ROOT = Path(given("MEDIA_ROOT", str(VAR / "media")))
RUNS_ROOT = Path(given("RUNS_ROOT", str(VAR / "runs")))
STATIC_ROOT = Path(given("STATIC_ROOT", str(VAR / "static")))
# Decoded frames that the trainers of this host share; it may be emptied at any time.
TIEBREAK_FRAME_CACHE = Path(given("TIEBREAK_FRAME_CACHE", str(VAR / "frames"))).absolute()

SECRET_KEY = secret("SECRET_KEY", "" if PRODUCTION else "development-only-" + "x" * 48)
# Former keys, while a new one takes over: sessions and links that they signed still hold.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Of the pseudonyms in exports: it stays when SECRET_KEY changes, or a person would get two names.
TIEBREAK_PSEUDONYM_SALT = secret("TIEBREAK_PSEUDONYM_SALT", "" if PRODUCTION else SECRET_KEY)
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]", "testserver"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or ([] if PRODUCTION else _LOOPBACK)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

if PRODUCTION:
    unsafe = faults(
        Deployment(
            debug=DEBUG,
            secret_key=SECRET_KEY,
            salt=TIEBREAK_PSEUDONYM_SALT,
            hosts=ALLOWED_HOSTS,
            origins=CSRF_TRUSTED_ORIGINS,
            database=env.str("DATABASE_URL", default=""),
            redis={name: given(name, "") for name in ("CELERY_BROKER_URL", "CACHE_URL")},
            secret_files={name: given(name, "") for name in SECRET_FILES},
        )
    )
    if unsafe:
        raise ImproperlyConfigured("Unsafe configuration for production: " + "; ".join(unsafe))

INSTALLED_APPS = [
    "annotation.strict_admin.StrictAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "csp",
    "axes",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "annotation",
    "pipelines",
    "config.loading.LoadingConfig",
]
MIDDLEWARE = [
    "config.requests.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "annotation.languages.LanguageCookieMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "annotation.accounts.sessions.PersonMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    # Deny by default: an address without a policy opens to nobody, and one whose view has no
    # @login_not_required asks for a log-in.
    "annotation.access.doorkeeper.PolicyMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    # Behind all that may refuse: what is dangerous goes into the audit log before it is done.
    "annotation.access.audit_doors.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "config.busy.BusyMiddleware",
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
            ]
        },
    }
]

# Database. SQLite needs IMMEDIATE, or writers see "database is locked"; FULL, or an acknowledged
# vote can be lost at a power cut (RELIABILITY 0.3).
_SQLITE = f"sqlite:///{VAR / 'tiebreak.sqlite3'}"
DATABASES = {"default": environ.Env.db_url_config(given("DATABASE_URL", _SQLITE))}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    Path(DATABASES["default"]["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    # Opening costs more than a vote's reads, and closing the last connection empties the log.
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
        ),
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {
        "options": "-c lock_timeout=5s -c statement_timeout=30s"
        " -c idle_in_transaction_session_timeout=30s",
        # Of the statements that annotation/statements.py reads with; all others are as ever.
        "prepare_threshold": 1,
    }
# Where pg_dump and pg_restore lie, of the server's version or newer; empty: on PATH.
TIEBREAK_PG_BIN = given("TIEBREAK_PG_BIN", "")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Files.
MEDIA_URL = "/v/"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Empty: the folder MEDIA_ROOT. s3://bucket/prefix: that bucket, with MEDIA_ROOT as its cache.
MEDIA_STORAGE_URL = given("MEDIA_STORAGE_URL", "")
if MEDIA_STORAGE_URL and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?", MEDIA_STORAGE_URL):
    raise ImproperlyConfigured(
        f"MEDIA_STORAGE_URL is {MEDIA_STORAGE_URL!r}; expected s3://bucket or s3://bucket/prefix"
    )
_BUCKET, _, _PREFIX = MEDIA_STORAGE_URL.removeprefix("s3://").partition("/")
_S3 = {
    "bucket_name": _BUCKET,
    "location": _PREFIX.strip("/"),
    "endpoint_url": given("MEDIA_S3_ENDPOINT_URL", "") or None,
    "region_name": given("MEDIA_S3_REGION", "") or None,
    "access_key": given("MEDIA_S3_ACCESS_KEY", "") or None,
    "secret_key": secret("MEDIA_S3_SECRET_KEY") or None,
    "signature_version": "s3v4",
    "default_acl": None,
    "file_overwrite": True,  # a key is made of content, so it is the same file
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "media": {"BACKEND": "annotation.media.storage_s3.S3Media", "OPTIONS": _S3}
    if MEDIA_STORAGE_URL
    else {"BACKEND": "annotation.media.storage.LocalMedia"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = False
# nginx sends clips, posters and images after we have said who may see them (docker/nginx).
TIEBREAK_MEDIA_BY_NGINX = env.bool("TIEBREAK_MEDIA_BY_NGINX", default=False)

# People.
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "annotation:home"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Failed log-ins are counted in the database (annotation/accounts/login_limits.py says how).
AXES_HANDLER = "annotation.accounts.login_limits.LoginLimits"
AXES_CLIENT_IP_CALLABLE = "annotation.accounts.login_limits.client_address"
AXES_LOCKOUT_CALLABLE = "annotation.accounts.login_limits.locked_out"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# A second factor and log-in by another service are django-allauth's
# (annotation/accounts/second_factor.py, annotation/accounts/identities.py); its own forms for
# accounts and addresses have no URL here.
ACCOUNT_ADAPTER = "annotation.accounts.identities.Accounts"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PRODUCTION else "http"
MFA_ADAPTER = "annotation.accounts.second_factor.Secrets"
MFA_FORMS = {"authenticate": "annotation.accounts.second_factor.CodeForm"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1  # phones are some seconds off
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are no part of a log-in here
# Staff (whoever can do more than annotate) can do nothing without a second factor.
TIEBREAK_REQUIRES_MFA = env.bool("TIEBREAK_REQUIRES_MFA", default=False)
SOCIALACCOUNT_ADAPTER = "annotation.accounts.identities.Identities"
SOCIALACCOUNT_STORE_TOKENS = False
TIEBREAK_OIDC_URL = given("TIEBREAK_OIDC_URL", "")
# What people get whom the service brings for the first time: an account with this role.
TIEBREAK_OIDC_ROLE = given("TIEBREAK_OIDC_ROLE", "")
if TIEBREAK_OIDC_ROLE not in {"", "none", "annotator"}:
    raise ImproperlyConfigured(
        f"TIEBREAK_OIDC_ROLE is {TIEBREAK_OIDC_ROLE!r}; expected nothing, none or annotator"
    )
_OIDC_APP = {
    "provider_id": "sso",
    "name": given("TIEBREAK_OIDC_NAME", "single sign-on"),
    "client_id": given("TIEBREAK_OIDC_CLIENT_ID", ""),
    "secret": secret("TIEBREAK_OIDC_CLIENT_SECRET"),
    "settings": {"server_url": TIEBREAK_OIDC_URL},
}
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [_OIDC_APP] if TIEBREAK_OIDC_URL else [],
    }
}
# A dangerous act asks for the password again, if the log-in is longer ago than this.
TIEBREAK_FRESH_LOGIN_SECONDS = env.float("TIEBREAK_FRESH_LOGIN_SECONDS", default=15 * 60)
# How long a session lasts, and how long without a request, in seconds
# (annotation/accounts/sessions.py).
TIEBREAK_STAFF_SESSION = (12 * 60 * 60, 2 * 60 * 60)
TIEBREAK_SESSION = (30 * 24 * 60 * 60, 7 * 24 * 60 * 60)
# How many proxies of ours stand before the site: whose word on the client's address counts. In
# production at least the one that speaks TLS, because the site itself speaks plain HTTP.
TIEBREAK_PROXIES = int(given("TIEBREAK_PROXIES", "1" if PRODUCTION else "0"))
PASSWORD_RESET_TIMEOUT = 3 * 24 * 60 * 60  # seconds; also of the links that leads hand out
# E-mail. Without EMAIL_URL it goes to the terminal in development and nowhere in production, where
# the pages then say so and send people to their lead.
EMAIL_URL = given("EMAIL_URL", "dummymail://" if PRODUCTION else "consolemail://")
vars().update(environ.Env.email_url_config(EMAIL_URL))
DEFAULT_FROM_EMAIL = given("DEFAULT_FROM_EMAIL", "tiebreak@localhost")
# Where people find the site, for links in the e-mails that workers send: https://tiebreak.example
TIEBREAK_SITE_URL = given("TIEBREAK_SITE_URL", "").rstrip("/")
EMAIL_TIMEOUT = 10  # seconds; a worker that sends one has other duties too
TIEBREAK_SENDS_MAIL = not EMAIL_URL.startswith("dummymail:")
SESSION_ENGINE = "annotation.accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
    SECURE_SSL_REDIRECT = True
    # Asked by the host itself, past the proxy that speaks TLS.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"


def _origins(url: str) -> list[str]:
    """`https://id.example` of an address on it."""
    found = re.match(r"https?://[^/]+", url)
    return [found[0]] if found else []


# No inline script and no inline style anywhere, the admin included.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # The log-in form leads to the service that says who somebody is, where there is one.
        "form-action": [SELF, *_origins(TIEBREAK_OIDC_URL)],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation.accounts.tokens.BearerToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["annotation.access.throttling.TokenThrottle"],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "annotation.access.declared.Declared",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation.access.strict_json.StrictJSON"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tiebreak",
    "DESCRIPTION": "Everything that the pages do. How to begin: docs/api.md.",
    "VERSION": "0.1.0",
    # All addresses, to whoever is logged in: what one may do there is asked when it is done.
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": [
        "rest_framework.permissions.IsAuthenticated",
        "annotation.access.declared.Declared",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",  # served by us: the policy allows no other host
    "SWAGGER_UI_FAVICON_HREF": "",
    "COMPONENT_SPLIT_REQUEST": True,
    "OAS_VERSION": "3.1.0",
    "ENUM_NAME_OVERRIDES": {
        "CampaignState": "annotation.models.CampaignState",
        "TripletState": "annotation.models.TripletState",
    },
}

# What programs may ask for (annotation/access/throttling.py). The counts lie in files, which all
# processes of a host share; CACHE_URL may name a Redis for several hosts.
TIEBREAK_TOKEN_RATE = given("TIEBREAK_TOKEN_RATE", "1200/min")
TIEBREAK_STRANGER_RATE = given("TIEBREAK_STRANGER_RATE", "300/min")
TIEBREAK_COSTLY_RATE = given("TIEBREAK_COSTLY_RATE", "120/min")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "throttle": env.cache_url_config(
        given("CACHE_URL", f"filecache://{VAR / 'cache'}?max_entries=20000")
    ),
}

# Languages. English is the source; the catalogs are in locale/, compiled by tools/messages.py.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文"), ("ja", "日本語"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_SECURE = PRODUCTION
TIME_ZONE = "UTC"
USE_TZ = True

# Voting. Times are settings so that fault tests can scale them.
TIEBREAK_LEASE_SECONDS = env.float("TIEBREAK_LEASE_SECONDS", default=15 * 60)
# The log-in page of the demo names the demo accounts.
TIEBREAK_DEMO = env.bool("TIEBREAK_DEMO", default=False) and not PRODUCTION
# Who was erased, one line each: no restore may take it back (annotation/accounts/tombstones.py).
TIEBREAK_TOMBSTONES = Path(given("TIEBREAK_TOMBSTONES", str(VAR / "tombstones.jsonl")))
TIEBREAK_LEASES_PER_ANNOTATOR = 3  # one shown, two prefetched
# What a file of a stranger may cost before it is refused: for each, beside its length.
TIEBREAK_MEDIA_CPU_SECONDS = env.float("TIEBREAK_MEDIA_CPU_SECONDS", default=20)
TIEBREAK_MEDIA_MEMORY_MB = env.int("TIEBREAK_MEDIA_MEMORY_MB", default=1024)
# The largest file that programs may send in parts (annotation/media/uploads.py), in GB (2**30).
TIEBREAK_UPLOAD_GB = env.float("TIEBREAK_UPLOAD_GB", default=4)
TIEBREAK_MEDIA_URL_SECONDS = env.float("TIEBREAK_MEDIA_URL_SECONDS", default=30 * 60)

# Runs.
TIEBREAK_RUN_LEASE_SECONDS = env.float("TIEBREAK_RUN_LEASE_SECONDS", default=60)
TIEBREAK_RUN_LEASE_MARGIN_SECONDS = env.float("TIEBREAK_RUN_LEASE_MARGIN_SECONDS", default=10)
TIEBREAK_RUN_RENEW_SECONDS = env.float("TIEBREAK_RUN_RENEW_SECONDS", default=10)
TIEBREAK_RUN_POLL_SECONDS = env.float("TIEBREAK_RUN_POLL_SECONDS", default=1)
TIEBREAK_RUN_GRACE_SECONDS = env.float("TIEBREAK_RUN_GRACE_SECONDS", default=30)
TIEBREAK_RUN_HANG_SECONDS = env.float("TIEBREAK_RUN_HANG_SECONDS", default=15 * 60)
# A run hangs when it makes no step for that long, and for so many times what one usually takes.
TIEBREAK_RUN_HANG_STEPS = env.float("TIEBREAK_RUN_HANG_STEPS", default=20)
TIEBREAK_RUN_BACKOFF_SECONDS = env.list(
    "TIEBREAK_RUN_BACKOFF_SECONDS", cast=float, default=[10, 60, 300]
)
# What a run may print: more loses its middle. And how often its logs are looked at.
TIEBREAK_RUN_LOG_MB = env.float("TIEBREAK_RUN_LOG_MB", default=50)
TIEBREAK_RUN_LOG_SECONDS = env.float("TIEBREAK_RUN_LOG_SECONDS", default=0.5)
# Artifacts by content (pipelines/store). Empty: a folder under VAR. s3://bucket/prefix: the bucket
# at the service that MEDIA_S3_* names; an absolute path: that folder.
ARTIFACT_STORE_URL = given("ARTIFACT_STORE_URL", "") or str((VAR / "store").absolute())
if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?|/.+", ARTIFACT_STORE_URL):
    raise ImproperlyConfigured(
        f"ARTIFACT_STORE_URL is {ARTIFACT_STORE_URL!r}; expected s3://bucket, s3://bucket/prefix "
        "or an absolute path"
    )
ARTIFACT_STORE_S3 = {
    name: _S3.get(name) for name in ("endpoint_url", "region_name", "access_key", "secret_key")
}
# What nothing refers to is kept for so long; what is being deleted is given up after the second.
TIEBREAK_STORE_KEEP_SECONDS = env.float("TIEBREAK_STORE_KEEP_SECONDS", default=48 * 3600)
TIEBREAK_STORE_DOOM_SECONDS = env.float("TIEBREAK_STORE_DOOM_SECONDS", default=60)
# The commit of this code, where no repository lies beside it (an image): noted with each artifact.
TIEBREAK_CODE_COMMIT = given("TIEBREAK_CODE_COMMIT", "")
CODE_ROOT = BASE_DIR
# How often a Celery worker looks at the database by itself, and for how long it leaves a run that
# could start to the message that should have come.
TIEBREAK_RUN_LOOK_SECONDS = env.float("TIEBREAK_RUN_LOOK_SECONDS", default=5)
TIEBREAK_RUN_UNHEARD_SECONDS = env.float("TIEBREAK_RUN_UNHEARD_SECONDS", default=20)
# Address space of a trainer on the CPU, so that it fails by itself and takes nobody along; 0: none.
TIEBREAK_TRAINER_MEMORY_MB = env.int("TIEBREAK_TRAINER_MEMORY_MB", default=0)
# A trainer gets a loopback of its own and no other network (pipelines/isolation.py).
TIEBREAK_TRAINERS_MAY_CONNECT = env.bool("TIEBREAK_TRAINERS_MAY_CONNECT", default=False)
TIEBREAK_TRAINER_THREADS = env.int("TIEBREAK_TRAINER_THREADS", default=0)  # 0: share the cores
# What this worker has beside what it finds by itself (pipelines/worker_labels.py), as zone=a,disk=2
TIEBREAK_WORKER_LABELS = env.list("TIEBREAK_WORKER_LABELS", default=[])
# What starts one command on each of several hosts, e.g. srun (docs/distribution.md). Of processes
# per host and hosts it starts at most so many for a run; names of the environment it may see.
TIEBREAK_LAUNCHER = given("TIEBREAK_LAUNCHER", "")
TIEBREAK_LAUNCHER_PROCESSES = int(given("TIEBREAK_LAUNCHER_PROCESSES", "1"))
TIEBREAK_LAUNCHER_HOSTS = int(given("TIEBREAK_LAUNCHER_HOSTS", "1"))
TIEBREAK_LAUNCHER_ENVIRONMENT = env.list("TIEBREAK_LAUNCHER_ENVIRONMENT", default=[]) or [
    "SLURM_*",
    "NCCL_*",
    "GLOO_*",
]

# Alerts (pipelines/alerts.py): how long what is wrong may stand before it is told.
TIEBREAK_ALERT_VOTES_SECONDS = env.float("TIEBREAK_ALERT_VOTES_SECONDS", default=120)
TIEBREAK_ALERT_QUEUED_SECONDS = env.float("TIEBREAK_ALERT_QUEUED_SECONDS", default=60)
TIEBREAK_ALERT_FROZEN_SECONDS = env.float("TIEBREAK_ALERT_FROZEN_SECONDS", default=60)
TIEBREAK_ALERT_CLOCK_SECONDS = env.float("TIEBREAK_ALERT_CLOCK_SECONDS", default=5)
TIEBREAK_ALERT_DISK = env.float("TIEBREAK_ALERT_DISK", default=0.9)
TIEBREAK_ALERT_BACKUP_DAYS = env.float("TIEBREAK_ALERT_BACKUP_DAYS", default=7)
TIEBREAK_ALERT_EVERY_SECONDS = env.float("TIEBREAK_ALERT_EVERY_SECONDS", default=20)
# Who may read /metrics with a bearer token; without one, this host alone.
TIEBREAK_METRICS_TOKEN = secret("TIEBREAK_METRICS_TOKEN")

# Celery: early acknowledgement, because the Run row is the queue and the message a doorbell.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="")
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A bell that a busy worker holds in reserve would be heard when its training ends, in hours.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_DIRECT = True  # a queue for each worker: runs that need its labels ring there
CELERY_WORKER_SEND_TASK_EVENTS = True  # Flower and `celery events` show what happens
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    # A connection that a firewall has forgotten ends after a minute, and Celery makes a new one.
    "socket_keepalive": True,
    "socket_keepalive_options": {
        socket.TCP_KEEPIDLE: 30,
        socket.TCP_KEEPINTVL: 10,
        socket.TCP_KEEPCNT: 3,
    },
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "pipelines.tasks.sweep", "schedule": 15.0},
    "collect": {"task": "pipelines.tasks.collect_garbage", "schedule": 24 * 3600.0},
}

# Lines of JSON in production, text for people elsewhere (formats/logs.py); children get the same.
TIEBREAK_LOG_FORMAT = given(logs.FORMAT, logs.JSON if PRODUCTION else logs.TEXT)
if TIEBREAK_LOG_FORMAT not in {logs.JSON, logs.TEXT}:
    raise ImproperlyConfigured(f"{logs.FORMAT} is {TIEBREAK_LOG_FORMAT!r}; expected json or text")
os.environ[logs.FORMAT] = TIEBREAK_LOG_FORMAT
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": "formats.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "loggers": {
        "axes": {"level": "WARNING"},  # it tells of every log-in
        "tiebreak.requests": {"level": "INFO" if TIEBREAK_LOG_FORMAT == logs.JSON else "WARNING"},
    },
    "root": {"handlers": ["console"], "level": given("TIEBREAK_LOG_LEVEL", "INFO")},
}
