"""The API as a whole: what it is called, how it reads bodies, how it refuses."""

from __future__ import annotations

from ninja import NinjaAPI

from reviews.api.errors import handle_errors
from reviews.api.routes import StrictParser

api = NinjaAPI(
    title="Label audit",
    version="1",
    description=(
        "Every step of an audit, for scripts: data sets, scores, audits, queues, samples, "
        "verdicts, reports, releases. Send a token as `Authorization: Bearer …`. Whatever isn't "
        "open to the token's person is not there: 404."
    ),
    openapi_url="",
    docs_url="",
    parser=StrictParser(),
)
handle_errors(api)
