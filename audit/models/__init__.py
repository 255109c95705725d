"""What the audit app stores, one file per subject."""

from audit.models.accounts import LogInBucket
from audit.models.api_tokens import ApiToken, Scope
from audit.models.audits import Audit, AuditExpert, Flag
from audit.models.chains import Link
from audit.models.claims import Claimable
from audit.models.datasets import Dataset, DatasetClass, FewShotExample, Item
from audit.models.imports import Import
from audit.models.log import Act, LogEntry
from audit.models.measurements import Measurement
from audit.models.projects import Membership, Project, Role
from audit.models.scores import Chunk, ScoreSet, UnscorableItem
from audit.models.sent_requests import SentRequest
from audit.models.workers import Installation, Worker

__all__ = [
    "Act",
    "ApiToken",
    "Audit",
    "AuditExpert",
    "Chunk",
    "Claimable",
    "Dataset",
    "DatasetClass",
    "FewShotExample",
    "Flag",
    "Import",
    "Installation",
    "Item",
    "Link",
    "LogEntry",
    "LogInBucket",
    "Measurement",
    "Membership",
    "Project",
    "Role",
    "Scope",
    "ScoreSet",
    "SentRequest",
    "UnscorableItem",
    "Worker",
]
