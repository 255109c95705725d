"""What the audit app stores, one file per subject."""

from audit.models.api_tokens import ApiToken, Scope
from audit.models.audits import Audit, AuditExpert, Flag
from audit.models.claims import Claimable
from audit.models.datasets import Dataset, DatasetClass, FewShotExample, Item
from audit.models.measurements import Measurement
from audit.models.projects import Membership, Project, Role
from audit.models.scores import Chunk, ScoreSet, UnscorableItem
from audit.models.workers import Installation, Worker

__all__ = [
    "ApiToken",
    "Audit",
    "AuditExpert",
    "Chunk",
    "Claimable",
    "Dataset",
    "DatasetClass",
    "FewShotExample",
    "Flag",
    "Installation",
    "Item",
    "Measurement",
    "Membership",
    "Project",
    "Role",
    "Scope",
    "ScoreSet",
    "UnscorableItem",
    "Worker",
]
