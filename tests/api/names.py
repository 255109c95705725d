"""What the client calls the API's documents and operations, where it calls them otherwise."""

from __future__ import annotations

SCHEMAS = {  # where the API's own name of a document is another one
    "Dataset": "DatasetDoc", "DatasetClass": "ClassDoc", "Item": "ItemDoc", "Scores": "ScoresDoc",
    "Audit": "AuditDoc", "Flag": "FlagDoc", "Stratum": "StratumDoc", "Sample": "SampleDoc",
    "SampledItem": "SampledDoc", "Judgment": "JudgmentDoc", "Agreement": "AgreementDoc",
    "Measurement": "MeasurementDoc", "Dispute": "Waiting", "Seen": "SeenDoc", "Token": "TokenDoc",
    "Import": "ImportDoc", "VoteSource": "SourceDoc", "Project": "ProjectDoc",
    "Release": "ReleaseDoc", "Vote": "VoteDoc",
}  # fmt: skip

METHODS = {  # where the client's own name of an operation is another one
    "read_me": "me", "list_projects": "projects", "read_project": "project",
    "list_members": "members", "list_datasets": "datasets", "read_dataset": "dataset",
    "list_classes": "classes", "list_items": "items", "list_scores": "scores",
    "read_scores": "score_set", "read_image": "image", "read_thumb": "thumb",
    "list_audits": "audits", "create_audit": "start_audit", "read_audit": "audit",
    "stop_audit": "cancel_audit", "continue_audit": "resume_audit", "list_queue": "queue",
    "read_sample": "sample", "list_sampled": "sampled_items", "claim_items": "claim",
    "create_judgment": "judge", "list_judgments": "judgments", "read_judgment": "judgment",
    "revise_judgment": "revise", "undo_judgment": "undo", "reveal_item": "reveal",
    "keep_items": "keep", "hand_back_items": "hand_back", "list_cards": "class_cards",
    "read_report": "report", "compare_methods": "comparison", "read_agreement": "agreement",
    "read_calibrations": "calibrations", "list_measurements": "measurements",
    "read_measurement": "measurement", "list_people": "people",
    "list_project_policies": "policies", "read_policy": "policy", "store_policy": "save_policy",
    "list_disputes": "disputes", "read_case": "case", "list_releases": "releases",
    "create_release": "order_release", "compare_releases": "compare_releases",
    "read_release": "release", "list_imports": "imports", "create_import": "order_import",
    "read_import": "import_state", "list_sources": "vote_sources",
    "read_archive": "download_release",
    "read_file": "download_file",
    "stop_release": "cancel_release", "continue_release": "resume_release",
    "stop_measurement": "cancel_measurement", "continue_measurement": "resume_measurement",
    "stop_import": "cancel_import", "continue_import": "resume_import",
}  # fmt: skip
