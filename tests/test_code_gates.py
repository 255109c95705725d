"""What this code never does, read from its syntax: no string is searched, so none is missed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template import engines
from django.template.base import FilterExpression, Node

from tests.test_docs import ROOT

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "jsonpickle", "shelve",
              "marshal", "joblib", "yaml"}  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint"}
CALLS = {"mark_safe", "SafeString", "RawSQL", "os.system", "os.popen", "torch.load",
         "importlib.reload", "tempfile.mktemp", "random.seed"}  # fmt: skip
DOWNLOADS = {
    "hf_hub_download",
    "snapshot_download",
}  # what isn't pinned may be another one tomorrow
QUERY_METHODS = {"extra", "raw"}  # SQL in strings
REQUEST_DATA = {"GET", "POST", "COOKIES", "META", "headers", "FILES", "body"}
VIEWS = {"views", "api"}
# (file, line's source): what is all right there, and why.
ALLOWED = {
    ("reviews/api/judgments.py", "ReviewSlot.objects.get(pk=judgment.slot_id)"):
        "likewise",
    ("reviews/views/verdicts.py", "ReviewSlot.objects.get(pk=judgment.slot_id)"):
        "the slot of the annotator's own judgment, which was fetched with permission",
}  # fmt: skip


def find_faults(source: str, *, is_view: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and source of whatever must not be there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            if {name.split(".")[0] for name in names} & UNPICKLERS:
                yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Call) and is_bad_call(node, is_view=is_view):
            yield node.lineno, ast.unparse(node)


def is_bad_call(call: ast.Call, *, is_view: bool) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    name = ast.unparse(call.func)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    is_true = {key for key, value in given.items() if ast.unparse(value) == "True"}
    spread = [keyword.value for keyword in call.keywords if keyword.arg is None]
    return any(
        (
            isinstance(call.func, ast.Name) and call.func.id in BUILTINS,
            name in CALLS or method in {"mark_safe", "RawSQL"},
            method in QUERY_METHODS,
            "shell" in given and "shell" not in {k for k in given if is_false(given[k])},
            "trust_remote_code" in given and not is_false(given["trust_remote_code"]),
            method == "from_pretrained"
            and not ("local_files_only" in is_true and "trust_remote_code" in given),
            name in DOWNLOADS and "revision" not in given,
            name in {"np.load", "numpy.load"} and not is_false(given.get("allow_pickle")),
            "allow_pickle" in is_true,
            name.endswith("Image.open") and "formats" not in given,
            any(comes_from_request(value) for value in spread),
            is_view and fetches_past_permission(call, name),
        )
    )


def is_false(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def comes_from_request(value: ast.expr) -> bool:
    """Whether it is request.GET, json.loads(request.body), ... or made of one."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in REQUEST_DATA
        and ast.unparse(node.value).endswith("request")
        for node in ast.walk(value)
    )


def fetches_past_permission(call: ast.Call, name: str) -> bool:
    """Whether a view takes a row by its number without asking whose it is."""
    keys = {keyword.arg for keyword in call.keywords}
    if name.endswith(".objects.get") and keys & {"pk", "id"}:
        return True
    source = ast.unparse(call.args[0]) if call.args else ""
    # A query set that a variable holds was narrowed where it was made.
    is_everything = source.removesuffix(".objects").isidentifier() and source[0].isupper()
    return name == "get_object_or_404" and is_everything


def our_files() -> list[Path]:
    files = [path for top in ("audit", "reviews", "scoring") for path in (ROOT / top).rglob("*.py")]
    return [*files, ROOT / "manage.py"]


@pytest.mark.row("A22", "A24", "G07")
def test_no_file_does_what_must_not_be_done():
    found = {
        (str(path.relative_to(ROOT)), source): line
        for path in our_files()
        for line, source in find_faults(
            path.read_text("utf-8"), is_view=bool(VIEWS & {*path.parts})
        )
    }
    assert len(our_files()) > 250
    assert {place: line for place, line in found.items() if place not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "an exception that nothing needs any more"


@pytest.mark.row("A22", "A24", "G07")
@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import numpy, _pickle as p",
        "import yaml\nyaml.load(text)",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "numpy.load(path, 'r', allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "eval(text)",
        "exec(code)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
        "AutoModel.from_pretrained(folder, trust_remote_code=trusted)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False)",
        "AutoModel.from_pretrained(folder, local_files_only=True)",
        "AutoModel.from_pretrained(folder, local_files_only=False, trust_remote_code=False)",
        "hf_hub_download(repository, 'model.safetensors')",
        "subprocess.run(command, shell=True)",
        "os.system('ls')",
        "mark_safe(text)",
        "safestring.mark_safe(text)",
        "Item.objects.extra(where=[text])",
        "Item.objects.raw(text)",
        "Item.objects.annotate(a=RawSQL(text, ()))",
        "Item.objects.filter(**request.GET.dict())",
        "Item.objects.filter(**json.loads(self.request.body))",
        "Item.objects.order_by(**{**request.POST})",
        "Image.open(file)",
        "PIL.Image.open(io.BytesIO(content))",
    ],
)
def test_the_gate_sees_it(source):
    assert list(find_faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "Audit.objects.get(pk=pk)",
        "get_object_or_404(Audit, pk=pk)",
        "get_object_or_404(Audit.objects, pk=pk)",
    ],
)
def test_the_gate_sees_a_view_that_fetches_past_permission(source):
    assert list(find_faults(source, is_view=True))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "re.compile(text)",
        "np.load(path, allow_pickle=False)",
        "Image.open(file, formats=('PNG',))",
        "logger.info('x', extra={})",
        "Item.objects.filter(**{name: 1})",
        "get_object_or_404(Audit.objects.open_to(request.user), pk=pk)",
    ],
)
def test_the_gate_lets_through_what_is_all_right(source):
    assert not list(find_faults(source, is_view=True))


# ----- templates


def expressions(node: object, seen: set[int]) -> Iterator[FilterExpression]:
    """Every filter expression in a compiled template, in whatever tag it stands."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, FilterExpression):
        yield node
    parts: list[object] = []
    if isinstance(node, dict):
        parts = list(node.values())
    elif isinstance(node, list | tuple):
        parts = list(node)
    elif isinstance(node, Node) or type(node).__module__.startswith("django.template"):
        parts = list(getattr(node, "__dict__", {}).values())
    for part in parts:
        yield from expressions(part, seen)


def unsafe_filters(nodes: object) -> list[str]:
    return [
        f"{expression.token}|{function.__name__}"
        for expression in expressions(nodes, set())
        for function, _ in expression.filters
        if function.__name__ in {"safe", "safeseq"}
    ]


@pytest.mark.row("A22", "G07")
def test_no_template_switches_escaping_off():
    engine = engines["django"].engine
    names = [
        str(path.relative_to(ROOT / "templates")) for path in (ROOT / "templates").rglob("*.html")
    ]
    n_expressions = 0
    for name in names:
        nodes = engine.get_template(name).nodelist
        n_expressions += len(list(expressions(nodes, set())))
        assert unsafe_filters(nodes) == [], name
        text = (ROOT / "templates" / name).read_text("utf-8")
        tags = [token.split_contents()[0] for token in tokens_of(text) if token.contents]
        assert "autoescape" not in tags, name
    assert n_expressions > 1000
    bad = engine.from_string("{% with a=b|safe %}{% if c %}{{ d|safe }}{% endif %}{% endwith %}")
    assert len(unsafe_filters(bad.nodelist)) == 2


def tokens_of(text: str):
    from django.template.base import Lexer, TokenType

    return [token for token in Lexer(text).tokenize() if token.token_type == TokenType.BLOCK]


@pytest.mark.row("A13", "A43")
def test_no_page_needs_what_the_policy_forbids():
    """No handler or style in an attribute, no script or style in the page, no address elsewhere."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.faults: list[str] = []

        def handle_starttag(self, tag, attributes):
            said = dict(attributes)
            self.faults += [
                f"{tag} {name}" for name in said if name.startswith("on") or name == "style"
            ]
            data = said.get("type") == "application/json"
            if tag == "style" or (tag == "script" and "src" not in said and not data):
                self.faults.append(tag)
            bad = ("http:", "https:", "//", "javascript:")
            self.faults += [
                f"{tag} {name}={said[name]}" for name in ("src", "href", "action")
                if (said.get(name) or "").lstrip().lower().startswith(bad)
            ]  # fmt: skip

    for path in (ROOT / "templates").rglob("*.html"):
        reader = Reader()
        reader.feed(path.read_text("utf-8"))
        assert reader.faults == [], path
