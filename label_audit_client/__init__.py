"""A thin client of the REST API, typed; it needs neither Django nor the rest of this repository."""

from label_audit_client.client import LabelAudit, StoppedError
from label_audit_client.connection import ApiError

__all__ = ["ApiError", "LabelAudit", "StoppedError"]
