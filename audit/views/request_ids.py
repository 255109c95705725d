"""Every answer carries an id, which stands in all that is logged for it and on error pages."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from audit.log_context import begin_request, end_request

HEADER = "X-Request-ID"
ID_BYTES = 8


class RequestIds:
    """Middleware: gives each request an id of its own. Must stand first.

    One that the client sends isn't taken: whoever writes it could have their requests looked for
    under somebody else's.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        number = os.urandom(ID_BYTES).hex()
        begin_request(number)
        answer = self.get_response(request)
        answer.headers[HEADER] = number
        return answer


@receiver(request_finished)
def forget(**_: Any) -> None:
    """Once the answer is sent, and logged, the thread is free for another request."""
    end_request()
