"""One file per form of outside votes: files in, checked votes out."""

from reviews.vote_files.base import LoadedVote, LoadedVotes, VoteImportError, VoteTarget
from reviews.vote_files.registry import PRESETS, read_votes

__all__ = [
    "PRESETS",
    "LoadedVote",
    "LoadedVotes",
    "VoteImportError",
    "VoteTarget",
    "read_votes",
]
