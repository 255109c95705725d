"""What was noted about an item when it came in, in words."""

from __future__ import annotations

WORDS = {
    "duplicate": "Another item has the same content and the same label.",
    "duplicate_other_label": "Another item has the same content and another label.",
    "ext_mismatch": "The file's name says another format than its content.",
    "exif_unreadable": "The picture's orientation can't be read; it is shown as it is stored.",
    "first_frame": "The file holds several pictures; the first is used.",
    "scaled_16_bit": "The picture has 16 bits a channel; it was scaled to 8.",
}


def write_notice(code: str) -> str:
    """Return a notice in words, or its code where it has none."""
    return WORDS.get(code, code)
