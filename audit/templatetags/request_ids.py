"""The id by which a request is found in the log, for error pages."""

from __future__ import annotations

from django import template

from audit.log_context import current_work

register = template.Library()


@register.simple_tag
def request_id() -> str:
    """Return the id of the request that is being answered, empty where there is none."""
    return current_work().get("request", "")
