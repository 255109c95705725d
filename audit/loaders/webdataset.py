"""WebDataset shards: plain tar files in which a sample is a run of members with one stem.

Pictures stay where they are: an item's address is the shard, the offset and the length of its
picture, so that any worker reads any item at once. Member names are only read, never unpacked.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from audit.image_files import piece_address
from audit.loaders.base import LoadedDataset, LoadedItem, ProblemList, refuse
from audit.loaders.class_names import LabelReader, read_classes
from audit.loaders.imagefolder import natural_order
from audit.loaders.item_fields import KeyReader
from audit.loaders.rows import parse_json_object
from audit.loaders.text_files import MAX_FIELD_BYTES

PICTURES = ("jpg", "jpeg", "png", "webp")
LABELS = ("cls", "json")
LABEL_FIELDS = ("label", "cls")

_STEM = re.compile(r"(?P<stem>(?:.*/)?[^./][^./]*)\.(?P<kind>[^/]+)", re.DOTALL)
_PACKED = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
)  # fmt: skip


@dataclass(slots=True)
class _Sample:
    """The members of one stem: where its picture lies and what is said of its label."""

    stem: str
    pictures: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


def load_webdataset(
    path: Path, *, classes_file: Path | None = None, root: Path | None = None
) -> LoadedDataset:
    """Read one shard, or all ``*.tar`` of a folder in natural order.

    A sample has one picture (jpg, png, webp) and its label in ``cls`` or in ``label`` or ``cls`` of
    its ``json``: a class index, or with ``classes_file`` a name. Its key is the stem.
    """
    if root is not None:
        raise refuse("root", "shards hold their own pictures; leave --root out")
    folder = path if path.is_dir() else path.parent
    names = sorted((each.name for each in path.glob("*.tar")), key=natural_order)
    shards = [path] if path.is_file() else [path / name for name in names]
    if not shards:
        raise refuse("missing", f"there is no {path}, or no *.tar in it")
    labels = LabelReader(read_classes(classes_file) if classes_file is not None else None)
    skipped: Counter[str] = Counter()
    problems, keys = ProblemList(), KeyReader()
    items: list[LoadedItem] = []
    samples = (sample for shard in shards for sample in _read_shard(shard, skipped))
    for number, sample in enumerate(samples, start=1):
        is_new = keys.check(number, sample.stem, problems)
        label = _read_label(number, sample, labels, problems)
        if _has_one_picture(number, sample, problems) and is_new and label is not None:
            items.append(LoadedItem(key=sample.stem, label=label, image=sample.pictures[0]))
    problems.raise_if_any()
    if not items:
        raise refuse("empty", f"no samples in {path}")
    notices = labels.notices() if classes_file is None else ()
    return LoadedDataset(
        "image", labels.list_classes(), tuple(items), folder.resolve(), dict(skipped), notices
    )


def _read_shard(shard: Path, skipped: Counter[str]) -> Iterator[_Sample]:
    """Yield the samples of a shard in order; members that belong to none are counted."""
    try:
        with shard.open("rb") as file:
            _check_start(shard, file.read(8))
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield from _group(shard, file, _check_members(shard, file, archive), skipped)
    except tarfile.TarError as error:
        raise refuse("format", f"{shard.name} is no sound tar file: {error}") from error
    except OSError as error:
        raise refuse("missing", f"{shard}: {error.strerror}") from error


def _check_start(shard: Path, start: bytes) -> None:
    for magic, name in _PACKED:
        if start.startswith(magic):
            message = f"{shard.name} is a {name} file; unpack it to a plain tar"
            raise refuse("format", message)


def _check_members(
    shard: Path, file: BinaryIO, archive: tarfile.TarFile
) -> Iterator[tarfile.TarInfo]:
    """Yield the regular files of a tar; one that hides something refuses the whole."""
    size = shard.stat().st_size
    end = 0
    while (member := archive.next()) is not None:
        # It keeps them all, and a large set has millions.
        archive.members.clear()  # type: ignore[attr-defined]
        shown = ascii(member.name[:80])
        is_outside = ".." in member.name.split("/") or member.name.startswith("/")
        if is_outside or "\\" in member.name or re.match("[A-Za-z]:", member.name):
            raise refuse("unsafe_path", f"{shard.name} holds {shown}, which leads out of it")
        end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise refuse("unsafe_path", f"{shard.name}: {shown} is not a regular file")
        if member.offset_data + member.size > size:
            raise refuse("format", f"{shard.name} ends inside {shown}")
        yield member
    # The library takes a damaged header, and a file cut between two members, for the end.
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise refuse("format", f"{shard.name} breaks off at byte {end}")


def _group(
    shard: Path, file: BinaryIO, members: Iterable[tarfile.TarInfo], skipped: Counter[str]
) -> Iterator[_Sample]:
    sample: _Sample | None = None
    for member in members:
        match = _STEM.fullmatch(member.name.removeprefix("./"))
        kind = match["kind"].lower() if match is not None else ""
        if match is None or kind not in {*PICTURES, *LABELS}:
            skipped["members of other kinds"] += 1
            continue
        if sample is not None and sample.stem != match["stem"]:
            yield sample
            sample = None
        if sample is None:
            sample = _Sample(match["stem"])
        if kind in PICTURES:
            address = piece_address(shard.name, member.offset_data, member.size)
            sample.pictures.append(address)
        else:
            sample.texts[kind] = _read_text(shard, member, file)
    if sample is not None:
        yield sample


def _read_text(shard: Path, member: tarfile.TarInfo, file: BinaryIO) -> str:
    if member.size > MAX_FIELD_BYTES:
        message = f"{shard.name}: {member.name[:80]!a} has {member.size} bytes"
        raise refuse("field_too_long", message)
    file.seek(member.offset_data)
    content = file.read(member.size)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{shard.name}: {member.name[:80]!a} is not UTF-8"
        raise refuse("encoding", message) from error


def _has_one_picture(number: int, sample: _Sample, problems: ProblemList) -> bool:
    n_pictures = len(sample.pictures)
    if n_pictures != 1:
        code = "several_images" if n_pictures else "missing_image"
        problems.add(number, "", code, f"sample {sample.stem[:60]!a} has {n_pictures} pictures")
    return n_pictures == 1


def _read_label(
    number: int, sample: _Sample, labels: LabelReader, problems: ProblemList
) -> int | None:
    if "cls" in sample.texts:
        return labels.read_value(number, sample.texts["cls"].rstrip("\r\n"), problems)
    fields: Mapping[str, object] = {}
    if "json" in sample.texts:
        fields = parse_json_object(sample.texts["json"], number)
    name = next((name for name in LABEL_FIELDS if name in fields), None)
    if name is None:
        problems.add(number, "label", "missing_label", f"sample {sample.stem[:60]!a} has no label")
        return None
    return labels.read_value(number, fields[name], problems)
