"""Has a judge model vote on items: what it said is kept as it came, and never asked for twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

from audit.models import Dataset, Item
from reviews.models import JUDGE_PREFIX, QuestionVerdict, Vote, VoteSource
from scoring.experts.endpoint_client import EndpointClient, RequestRefused
from scoring.experts.endpoint_protocol import Reply, ask_chat, may_hold_control_token
from scoring.judge_prompts import JudgePrompt, JudgeReply

FLUSH_EVERY = 16
MAX_ANNOTATOR = 120
MAX_NAME = 50 - len(JUDGE_PREFIX)
OPINIONS = {
    "right": QuestionVerdict.LABEL_CORRECT,
    "wrong": QuestionVerdict.WRONG_GROUND_TRUTH,
    "unsure": QuestionVerdict.UNSURE,
}


class JudgingRefusedError(ValueError):
    """The judge can't be asked like this; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A model to ask, how, and the longest reply it may give."""

    client: EndpointClient
    prompt: JudgePrompt
    max_tokens: int

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides a reply, as it is stored beside the votes."""
        endpoint = self.client.endpoint
        return {
            "endpoint": endpoint.name,
            "model": endpoint.model,
            "prompt": self.prompt.name,
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }

    def ask(self, item: Item) -> Reply | RequestRefused:
        """Return the model's reply about one item, or the server's refusal of this one request."""
        text = self.prompt.fill(item.question, item.choices, item.given_label or 0)
        if may_hold_control_token(text):
            return RequestRefused("its text may be a control token of the model: not asked")
        try:
            return ask_chat(self.client, text, self.max_tokens)
        except RequestRefused as refusal:
            return refusal


@dataclass(frozen=True, slots=True)
class Judged:
    """What one run did: votes, unreadable replies among them, and why requests were refused."""

    n_voted: int
    n_unreadable: int
    refusals: tuple[str, ...]
    n_prompt_tokens: int
    n_reply_tokens: int


def open_source(dataset: Dataset, name: str, judge: Judge) -> VoteSource:
    """Return the judge's source of votes, new or to be continued; one prompt and model each."""
    if dataset.kind != Dataset.Kind.MULTIPLE_CHOICE:
        raise JudgingRefusedError(f"{dataset} has no multiple-choice questions to ask a judge")
    try:
        validate_slug(name)
    except ValidationError as error:
        raise JudgingRefusedError(f"{name!r} is not letters, digits and hyphens") from error
    if len(name) > MAX_NAME:
        raise JudgingRefusedError(f"a judge's name has at most {MAX_NAME} characters")
    source, _ = VoteSource.objects.get_or_create(
        dataset=dataset,
        name=JUDGE_PREFIX + name,
        defaults={"kind": VoteSource.Kind.JUDGE, "parameters": judge.parameters},
    )
    if source.parameters != judge.parameters:
        different = [
            f"{key} {source.parameters.get(key)}"
            for key, value in judge.parameters.items()
            if source.parameters.get(key) != value
        ]
        raise JudgingRefusedError(
            f"{source} was asked otherwise ({', '.join(different)}); give another --name"
        )
    return source


def judge_items(
    source: VoteSource,
    judge: Judge,
    items: Sequence[Item],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judged:
    """Ask about the items that have no vote yet and store each reply as it comes.

    Stopped at any moment it can be called again. A request that the server refuses leaves no
    vote, and is made again then.
    """
    voted = set(source.votes.values_list("item_id", flat=True))
    waiting = [item for item in items if item.pk not in voted]
    counts: Counter[str] = Counter()
    refusals: list[str] = []
    fresh: list[Vote] = []
    with ExitStack() as stack:
        # Last in, first out: no request is on its way any more when the votes are counted.
        stack.callback(_refresh, source)
        stack.callback(_store, fresh)
        replies = stack.enter_context(closing(judge.client.each(judge.ask, waiting)))
        for done, (item, reply) in enumerate(zip(waiting, replies, strict=True), start=1):
            if isinstance(reply, RequestRefused):
                refusals.append(f"{item.key}: {reply}")
            else:
                said = judge.prompt.read(reply.text, item.choices)
                fresh.append(_new_vote(source, item, reply, said))
                counts["voted"] += 1
                counts["unreadable"] += not said.is_readable
                counts["prompt"] += reply.n_prompt_tokens or 0
                counts["reply"] += reply.n_reply_tokens or 0
            if len(fresh) == FLUSH_EVERY:
                _store(fresh)
            on_progress(done, len(waiting))
    return Judged(
        counts["voted"], counts["unreadable"], tuple(refusals), counts["prompt"], counts["reply"]
    )


def _new_vote(source: VoteSource, item: Item, reply: Reply, said: JudgeReply) -> Vote:
    """Return the vote; an unreadable reply is an unsure one, kept word by word."""
    return Vote(
        source=source,
        item=item,
        annotator=source.parameters["model"][:MAX_ANNOTATOR],
        labels=None if said.choice is None else [said.choice],
        verdict="" if said.choice is not None else OPINIONS[said.opinion or "unsure"],
        reply=_storable(reply.text),
    )


def _storable(text: str) -> str:
    """Return the text with what databases refuse written out: NUL, and half characters."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _store(fresh: list[Vote]) -> None:
    # Two runs at a time ask twice but vote once.
    Vote.objects.bulk_create(fresh, ignore_conflicts=True)
    fresh.clear()


def _refresh(source: VoteSource) -> None:
    """Write down how many votes there are now, and their hash in item order."""
    digest, n_votes = hashlib.sha256(), 0
    for line in _lines(source):
        digest.update(line.encode())
        n_votes += 1
    if not n_votes:
        # Nothing to draw curves against, and nothing that binds the name to this prompt.
        VoteSource.objects.filter(pk=source.pk, votes=None).delete()
        return
    source.n_votes = source.n_items = n_votes
    source.sha256 = digest.hexdigest()
    source.save(update_fields=["n_votes", "n_items", "sha256"])


def _lines(source: VoteSource) -> Iterator[str]:
    votes = source.votes.order_by("item__position")
    columns = votes.values_list("item__key", "labels", "verdict", "reply")
    for key, labels, verdict, reply in columns.iterator(chunk_size=5000):
        yield f"{key}\0{labels}\0{verdict}\0{reply}\n"
