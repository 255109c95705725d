"""Items that are hard to show: twin names, a panorama, a tiny digit, endless names and texts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from audit.models import Audit, Dataset, DatasetClass
from tests.browser.desk_steps import make_full_audit
from tests.browser.question_steps import CODE, FORMULAS, HOSTILE, PASSAGE, make_question_audit

LONG = (
    "fluoroscopically guided percutaneous transluminal coronary angioplasty balloon catheter, "
    "Rechtsschutzversicherungsgesellschaftenangestellte and everything that goes with them"
)
TWINS = {  # ImageNet has two classes of this name
    0: ("maillot", "n03710637", "a woman's one-piece bathing suit"),
    1: ("maillot", "n03710721", "tights for dancers or gymnasts"),
    2: ("bikini, two-piece", "n02837789", "a woman's very brief bathing suit"),
    3: (LONG, "n09999999", f"{LONG}. " * 3),
    4: ("مايوه \u202eevil\u202c سباحة", "n01234567", "לבוש ים <script>document.title = 1</script>"),
    5: ("<img src=x onerror=alert(1)>", "n07654321", HOSTILE),
}


def make_hard_pictures() -> Audit:
    """In this order: twin names, a 6:1 panorama, a digit of 28 pixels, a tower of 1:5."""
    audit = make_full_audit(4, n_classes=6)
    for index, (name, wordnet_id, gloss) in TWINS.items():
        DatasetClass.objects.filter(dataset=audit.dataset, index=index).update(
            name=name, wordnet_id=wordnet_id, gloss=gloss
        )
    pictures = [draw_beach(640, 480), draw_beach(2400, 400), read_digit(), draw_beach(240, 1200)]
    for position, pixels in enumerate(pictures):
        put_picture(audit.dataset, position, pixels)
    return audit


def read_digit() -> np.ndarray:
    """Return a digit of MNIST, or without the file something of its size."""
    path = Path(os.environ.get("LABEL_AUDIT_TEST_DATA", ""), "mnist_test.npz")
    if not path.exists():
        return np.asarray(Image.fromarray(draw_beach(280, 280)).resize((28, 28)))
    with np.load(path) as archive:
        images = archive[next(name for name in archive.files if archive[name].ndim == 3)]
    return np.asarray(images[0], dtype=np.uint8)


def draw_beach(width: int, height: int) -> np.ndarray:
    """Sky, sea, sand, a sun and somebody's bathing suit; no photograph that belongs to anybody."""
    rows = np.linspace(0, 1, height)[:, None, None]
    sky, sea, sand = (
        np.array(colour) for colour in ([120, 180, 235], [20, 90, 140], [225, 200, 150])
    )
    beach = np.where(rows < 0.45, sky + 60 * rows, np.where(rows < 0.7, sea + 40 * rows, sand))
    picture = Image.fromarray(
        np.broadcast_to(beach, (height, width, 3)).clip(0, 255).astype(np.uint8)
    )
    pen, size = ImageDraw.Draw(picture), min(width, height)
    pen.ellipse([width - size * 0.4, size * 0.1, width - size * 0.2, size * 0.3], "gold")
    left, top = width // 2 - size // 8, height - size // 2
    pen.rounded_rectangle([left, top, left + size // 4, top + size // 3], size // 12, "crimson")
    return np.asarray(picture)


def put_picture(dataset: Dataset, position: int, pixels: np.ndarray) -> None:
    item = dataset.items.get(position=position)
    path = Path(dataset.root, item.image)
    Image.fromarray(pixels).save(path)
    item.content_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    item.height, item.width = pixels.shape[:2]
    item.save()


def make_hard_questions() -> Audit:
    """In this order: forty lines with code and formulas, hostile texts, right to left."""
    audit = make_question_audit(3, n_choices=6)
    options = [
        f"{LONG}, so that the promise is enforceable under the doctrine of reliance",
        "$\\displaystyle \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$",
        "```\nfor n in range(7):\n    print(f(n), end=' ')\n```",
        "None of the above",
        "`f(7)`, but only where $n \\geq 2$",
        " ".join(["and"] * 60),
    ]
    texts = [
        (f"{PASSAGE}\n\n{FORMULAS}\n\n{CODE}", options),
        (HOSTILE, [HOSTILE, "<img src=x onerror=alert(1)>", "{{7*7}}", "$\\x$", "e", "f"]),
        (
            "מהו הסכום של $2 + 3$ ואיזה קוד מדפיס אותו?",
            ["חמש", "`print(2 + 3)`", "\u0665", "5", "$5$", "כולם"],
        ),
    ]
    for position, (question, choices) in enumerate(texts):
        audit.dataset.items.filter(position=position).update(question=question, choices=choices)
    return audit
