"""Forty hostile texts, stored wherever text can be: pages show them as text, letter by letter.

One log-in of Chromium walks through every page. No dialog opens, no element comes of a text, no
policy is violated (A13, A43), and what the page shows is exactly what was stored.
"""

from __future__ import annotations

import itertools
from uuid import uuid4

import pytest
from playwright.sync_api import Page

from audit.models import Act, DatasetClass, Role, UnscorableItem
from audit.services.api_tokens import make_token
from audit.services.log import write_log
from reviews.models import KnownItem, Mode, QuestionVerdict, Release
from reviews.services.judgments import Answer, record_judgment
from reviews.services.leases import claim_slots
from reviews.services.referrals import refer_item
from tests.factories import make_member, make_questions, make_ready_audit, make_sample

pytestmark = pytest.mark.browser
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "'-alert(4)-'",
    '";alert(5);//',
    "</script><script>alert(6)</script>",
    "javascript:alert(7)",
    "<a href=javascript:alert(8)>x</a>",
    "{{constructor.constructor('alert(9)')()}}",
    "${alert(10)}",
    "<iframe srcdoc='<script>parent.alert(11)</script>'>",
    "<math><mi//xlink:href='data:x,alert(12)'>",
    "<style>*{background:url(https://evil.example/13)}</style>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example/><button>15",
    "<meta http-equiv=refresh content=0;url=//evil>",
    "<link rel=stylesheet href=//evil.example/17>",
    "<object data=data:text/html,alert(18)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(19)>'>",
    "<!--><img src=x onerror=alert(20)>",
    "<svg><animate onbegin=alert(21) attributeName=x>",
    "<details open ontoggle=alert(22)>",
    "<input autofocus onfocus=alert(23)>",
    "<video><source onerror=alert(24)>",
    "<body onload=alert(25)>",
    "<template><script>alert(26)</script></template>",
    "&lt;script&gt;alert(27)&lt;/script&gt;",
    "\\u003cscript\\u003ealert(28)",
    "<scr\tipt>alert(29)</scr\tipt>",
    "<ScRiPt>alert(30)</sCrIpT>",
    "$$\\href{javascript:alert(31)}{x}$$",
    "$\\htmlData{onclick=alert(32)}{x}$",
    "`<img src=x onerror=alert(33)>`",
    "[x](javascript:alert(34))",
    '![x](x"onerror=alert(35))',
    "<marquee onstart=alert(36)>",
    "expression(alert(37))",
    "-moz-binding:url(//evil/38)",
    "<p style=animation-name:x onanimationstart=alert(39)>",
    "</title></textarea></select></option><img src=x onerror=alert(40)>",
]
INJECTED = """() => [...document.querySelectorAll("*")].filter((each) =>
  [...each.attributes].some((one) => one.name.startsWith("on") && /alert/.test(one.value)) ||
  /evil|alert\\(/.test(each.getAttribute("href") ?? "") && !each.href.startsWith(location.origin) ||
  /evil|alert/.test(each.getAttribute("src") ?? "") ||
  /evil/.test(each.getAttribute("action") ?? "") ||
  (each.tagName === "SCRIPT" && !each.src && each.type !== "application/json") ||
  ["IFRAME", "OBJECT", "BASE", "MARQUEE", "STYLE", "MATH", "VIDEO"].includes(each.tagName) &&
    !each.closest(".katex")
).map((each) => each.outerHTML.slice(0, 200))"""
SHOWN = """() => {
  const copy = document.documentElement.cloneNode(true);
  copy.querySelectorAll("script").forEach((each) => each.remove());
  const inputs = [...document.querySelectorAll("input, textarea")].map((each) => each.value);
  const said = [...copy.querySelectorAll("[title], [aria-label], [placeholder]")].flatMap((each) =>
    ["title", "aria-label", "placeholder"].map((name) => each.getAttribute(name) ?? ""));
  return [copy.textContent, ...inputs, ...said].join("\\n");
}"""


def make_hostile_audit():
    """An audit of questions in which every text is one of the payloads."""
    dataset = make_questions(n_items=12)
    hostile = itertools.cycle(PAYLOADS)
    project = dataset.project
    project.name = next(hostile)
    project.save()
    dataset.notice = next(hostile)
    dataset.save()
    for each in DatasetClass.objects.filter(dataset=dataset):
        each.gloss = next(hostile)
        each.save()
    for item in dataset.items.all():
        item.question = next(hostile)
        item.choices = [next(hostile) for _ in range(4)]
        item.subject = next(hostile)
        item.key = f"{next(hostile)} {item.position}"
        item.save()
    last = dataset.items.get(position=11)
    last.quarantine_code, last.quarantine_detail = "not_a_question", next(hostile)
    last.save()
    audit = make_ready_audit(dataset)
    for score_set in audit.score_sets.all():
        score_set.expert = f"stub:{next(hostile)} {score_set.pk}"
        score_set.save()
        UnscorableItem.objects.create(
            score_set=score_set, item=dataset.items.first(), code="x", detail=next(hostile)
        )
    admin = make_member(project, Role.ADMIN, "admin")
    people = [admin, *(make_member(project, name=f"person {n} {next(hostile)}") for n in range(2))]
    sample = make_sample(audit, 6, votes_per_item=2)
    wrong = QuestionVerdict.WRONG_GROUND_TRUTH
    for number, person in enumerate(people[1:]):
        for slot in claim_slots(sample, person)[:4]:
            label = (slot.sampled_item.item.given_label + 1 + number) % 4
            answer = Answer(
                wrong, label, note=next(hostile), labels=(label,), mode=Mode.FULL,
                source=next(hostile), blind_labels=(label,),
            )  # fmt: skip
            record_judgment(person, slot.pk, slot.epoch, uuid4(), answer)
            refer_item(person, slot.sampled_item, is_open=True, note=next(hostile))
    KnownItem.objects.create(
        audit=audit, item=dataset.items.get(position=9), use="gold", verdict=wrong,
        why=next(hostile), origin="by_hand", source=next(hostile)[:50], marked_by=admin,
    )  # fmt: skip
    for text in PAYLOADS:
        write_log(Act.POLICY_SAVED, text, person=people[1], project=project, said=text)
    for number in range(1, 9):
        make_token(admin, next(hostile), ["read"])
        write_log(
            Act.POLICY_SAVED, next(hostile), person=people[1], project=project, said=next(hostile)
        )
        Release.objects.create(
            audit=audit, number=number, policy="lenient", policy_definition={}, work="failed",
            error=next(hostile), last_judgment=1, last_adjudication=0, created_by=people[2],
        )  # fmt: skip
    return audit, admin


@pytest.mark.row("A13", "A43")
def test_every_page_shows_hostile_texts_as_they_are_and_runs_none(make_page):
    audit, admin = make_hostile_audit()
    page: Page = make_page(admin)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    item = audit.dataset.items.first().pk
    base = f"/audits/{audit.pk}"
    addresses = [
        "/", "/audits/new/", "/tokens/", f"{base}/", f"{base}/queue/", f"{base}/queue/pairs/",
        f"{base}/queue/{item}/", f"{base}/sample/", f"{base}/adjudication/", f"{base}/agreement/",
        f"{base}/adjudication/{item}/", f"{base}/gold/", f"{base}/releases/", f"{base}/curves/",
        f"/projects/{audit.dataset.project_id}/people/", f"{base}/calibration/",
        f"/projects/{audit.dataset.project_id}/log/", f"{base}/review/",
    ]  # fmt: skip
    shown: set[str] = set()
    for address in addresses:
        answer = page.goto(address)
        assert answer is not None, address
        assert answer.status == 200, address
        if address.endswith("/review/"):
            page.locator(".option").first.wait_for()
        assert page.evaluate(INJECTED) == [], address
        text = page.evaluate(SHOWN)
        shown |= {payload for payload in PAYLOADS if payload in text}
    assert dialogs == []
    assert [url for url in requests if "evil" in url] == []
    assert set(PAYLOADS) - shown == set()


SLIPPED_IN = """() => {
  window.violated = [];
  document.addEventListener("securitypolicyviolation", (event) =>
    window.violated.push(event.effectiveDirective));
  const add = (name, said) => {
    const each = Object.assign(document.createElement(name), said);
    document.body.append(each);
    return each;
  };
  add("script", { textContent: "window.ran = 'script'" });
  add("script", { src: "data:text/javascript,window.ran='data'" });
  add("script", { src: URL.createObjectURL(new Blob(["window.ran = 'blob'"])) });
  add("script", { src: "https://evil.example/script.js" });
  add("div", { innerHTML: "<img src=/none.png onerror=window.ran='handler'>" });
  add("div", { innerHTML: "<p style='background:url(https://evil.example/style)'>x</p>" });
  add("link", { rel: "stylesheet", href: "https://evil.example/sheet.css" });
  add("style", { textContent: "body { background: url(https://evil.example/sheet) }" });
  add("img", { src: "https://evil.example/told.png" });
  add("iframe", { srcdoc: "<script>parent.ran = 'frame'</script>" });
  add("object", { data: "data:text/html,x", type: "text/html" });
  add("base", { href: "https://evil.example/" });
  add("form", { action: "https://evil.example/", method: "post" }).submit();
  fetch("https://evil.example/fetched").catch(() => {});
  setTimeout("window.ran = 'timer'", 0);
}"""
STOPPED = {
    "script-src-elem", "script-src-attr", "style-src-attr", "style-src-elem", "img-src", "base-uri",
    "form-action", "connect-src", "script-src", "object-src",
}  # fmt: skip


@pytest.mark.row("A43")
def test_nothing_that_is_slipped_into_a_page_runs_or_leaves(make_page):
    """As if all escaping had failed: the policy alone holds."""
    page: Page = make_page(make_member(make_ready_audit().dataset.project, Role.ADMIN))
    page.expected_errors = ["CSP", "Content Security Policy", "Content-Security-Policy", "404"]
    left: list[str] = []
    page.on("requestfinished", lambda request: left.append(request.url))
    page.on("requestfailed", lambda request: left.append(f"{request.failure}: {request.url}"))
    page.goto("/")
    page.evaluate(SLIPPED_IN)
    page.wait_for_function(f"new Set(window.violated).size >= {len(STOPPED)}", timeout=5000)
    assert page.evaluate("window.ran") is None
    assert set(page.evaluate("window.violated")) >= STOPPED
    assert page.evaluate("document.baseURI").startswith(page.url)
    assert [each for each in left if "evil" in each and not each.startswith("csp: ")] == []
