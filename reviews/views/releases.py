"""Release cleaned labels: what a policy would change, the builds, and their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.models import Audit, Claimable, Item
from audit.services.progress import engine_trouble
from audit.views.access import find_audit
from reviews.decisions import (
    WORDS,
    Action,
    Decision,
    Snapshot,
    StandingVote,
    decide_all,
    load_rulings,
    load_votes,
)
from reviews.forms import PolicyForm, ReleaseForm
from reviews.models import Policy, Release
from reviews.policies import BUILT_IN, PolicyError, ReleasePolicy, find_policy, list_policies
from reviews.policy_words import describe_policy
from reviews.release_files import name_annotators, open_source
from reviews.release_formats import DEFAULT_FORMATS, FORMATS, FormatRefusedError
from reviews.release_formats.base import ADJUDICATOR
from reviews.release_formats.registry import refusals
from reviews.services.releases import ReleaseRefusedError, order_release, save_policy

PER_PAGE = 12
RELEASES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ShownVote:
    """One vote behind a change; people go by the release's pseudonyms."""

    annotator: str
    verdict: str
    corrected: str


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One item whose label a release would change, with everything behind it."""

    item: Item
    given: str
    cleaned: str
    also: list[str]
    action: str
    votes: list[ShownVote]


@dataclass(frozen=True, slots=True)
class ShownFormat:
    """One format, and why the data set can't be written in it, if it can't."""

    name: str
    refusal: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a release would do, by the judgments so far."""

    policy: ReleasePolicy
    counts: list[tuple[str, int]]
    n_judged: int
    page: Page[int]
    changes: list[ShownChange]


@require_http_methods(["GET", "POST"])
def releases(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the preview and the builds; a valid POST orders one more build."""
    audit = find_audit(request, pk)
    if request.method == "POST":
        form = ReleaseForm(request.POST, policies=list_policies(audit.dataset.project_id))
        if not form.is_valid():
            context = _context(request, audit) | {"order_form": form}
            return render(request, "reviews/releases.html", context, status=422)
        said = form.cleaned_data
        person = cast("User", request.user)
        try:
            release = order_release(audit, said["policy"], person, said["formats"])
        except (ReleaseRefusedError, FormatRefusedError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, f"Release {release.number} is being built.")
        address = reverse("reviews:releases", args=[audit.pk])
        return redirect(f"{address}?{urlencode({'policy': said['policy']})}")
    return render(request, "reviews/releases.html", _context(request, audit))


@require_GET
def release_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's poll with the builds as they stand."""
    audit = find_audit(request, pk)
    return render(request, "reviews/_releases.html", _list_context(audit))


@require_POST
def save_release_policy(request: HttpRequest, pk: int) -> HttpResponse:
    """Store a policy's next version and show what it would change."""
    audit = find_audit(request, pk)
    dataset = audit.dataset
    base = _choose_policy(request.POST.get("base", ""), audit)
    form = PolicyForm(request.POST, has_questions=_has_questions(audit), policy=base)
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            saved = save_policy(dataset.project, name, form.document, cast("User", request.user))
        except PolicyError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Policy {saved.name} is stored as version {saved.version}.")
            address = reverse("reviews:releases", args=[audit.pk])
            return redirect(f"{address}?{urlencode({'policy': saved.name})}")
    context = _context(request, audit) | {"policy_form": form}
    return render(request, "reviews/releases.html", context, status=422)


def _context(request: HttpRequest, audit: Audit) -> dict[str, Any]:
    context = _list_context(audit)
    if not audit.is_ready:
        return context
    policy = _choose_policy(request.POST.get("policy") or request.GET.get("policy", ""), audit)
    has_questions = _has_questions(audit)
    return context | {
        "policy": policy,
        "preview_query": urlencode({"policy": policy.name}),
        "policy_words": describe_policy(policy, has_questions=has_questions),
        "policies": [
            (name, urlencode({"policy": name}), name == policy.name)
            for name in list_policies(audit.dataset.project_id)
        ],
        "policy_form": PolicyForm(has_questions=has_questions, policy=policy),
        "formats": list_formats(audit, request.POST.getlist("formats")),
        "preview": preview_release(audit, policy, request.GET.get("page", "1")),
    }


def _choose_policy(name: str, audit: Audit) -> ReleasePolicy:
    """Return the policy of that name, lenient where there is none."""
    try:
        return find_policy(name, audit.dataset.project_id)
    except PolicyError:
        return BUILT_IN[Policy.LENIENT]


def _has_questions(audit: Audit) -> bool:
    return audit.dataset.kind == audit.dataset.Kind.MULTIPLE_CHOICE


def list_formats(audit: Audit, chosen: Sequence[str]) -> list[ShownFormat]:
    """Return every format, and for those that the data set can't be written in, why."""
    reasons = refusals(open_source(audit))
    return [
        ShownFormat(name, reasons.get(name, ""), name in (chosen or DEFAULT_FORMATS))
        for name in FORMATS
    ]


def _list_context(audit: Audit) -> dict[str, Any]:
    builds = list(Release.objects.filter(audit=audit).select_related("created_by")[:RELEASES_SHOWN])
    unfinished = {Claimable.Work.PENDING, Claimable.Work.RUNNING}
    is_building = any(build.work in unfinished for build in builds)
    return {
        "audit": audit,
        "builds": builds,
        "newest_ready": next((build.pk for build in builds if build.is_ready), None),
        "is_building": is_building,
        "trouble": engine_trouble() if is_building else None,
    }


def preview_release(audit: Audit, policy: ReleasePolicy, page: str) -> Preview | None:
    """Return what a release of the judgments so far would do, None before the first."""
    now = Snapshot.now(audit)
    votes, rulings = load_votes(audit, now.judgment), load_rulings(audit, now.adjudication)
    if not votes and not rulings:
        return None
    decisions = decide_all(audit, policy, votes, rulings)
    counts = Counter(decision.action for decision in decisions.values())
    unjudged = audit.dataset.n_items - len(decisions)
    changed = [position for position, decision in decisions.items() if decision.is_change]
    shown: Page[int] = Paginator(changed, PER_PAGE).get_page(page)
    return Preview(
        policy=policy,
        counts=[
            (action.value, counts[action] + (unjudged if action is Action.KEPT else 0))
            for action in Action
        ],
        n_judged=len(decisions),
        page=shown,
        changes=_show_changes(audit, list(shown), decisions, votes, rulings),
    )


def _show_changes(
    audit: Audit,
    positions: list[int],
    decisions: dict[int, Decision],
    votes: dict[int, list[StandingVote]],
    rulings: dict[int, StandingVote],
) -> list[ShownChange]:
    names = dict(audit.dataset.classes.values_list("index", "name"))
    people = name_annotators(votes.values())
    items = audit.dataset.items.filter(position__in=positions).order_by("position")
    return [
        ShownChange(
            item=item,
            given=_name(names, item.given_label),
            cleaned=_name(names, decisions[item.position].cleaned_label),
            also=[_name(names, label) for label in decisions[item.position].also_labels],
            action=decisions[item.position].action.value,
            votes=[
                ShownVote(who, WORDS[vote.verdict], _name(names, vote.corrected_label))
                for who, vote in (
                    *((people[vote.annotator], vote) for vote in votes.get(item.position, ())),
                    *((ADJUDICATOR, each) for each in (rulings.get(item.position),) if each),
                )
            ],
        )
        for item in items
    ]


def _name(names: dict[int, str], label: int | None) -> str:
    return "" if label is None else names.get(label, f"class {label}")
