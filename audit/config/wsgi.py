"""The web process: gunicorn loads `application` from here."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audit.config.settings")
application = get_wsgi_application()

if "timeout" in (options := connections["default"].settings_dict["OPTIONS"]):
    # People are told after so long that somebody else writes; an import or a worker waits on.
    options["timeout"] = settings.SQLITE_SECONDS_FOR_PEOPLE
