"""Language models answer as if asked one by one, however much their questions share."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scoring.experts import (
    ExpertRefused,
    InputProblem,
    Question,
    UnscorableInputsError,
    load_expert,
)
from scoring.experts.prompts import find_prompt
from tests.gguf_models import write_gguf_model
from tests.language_models import (
    ARCHITECTURES,
    make_questions,
    train_tokenizer,
    write_language_model,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small are slower on two threads, and far slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return write_language_model(tmp_path_factory.mktemp("models") / "llama")


def one_by_one(folder: Path, questions, *, prompt, shots: int, scoring: str):
    """The plain way, without anything of ours but the prompt's text: one text, one forward pass."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def predictions(text: str) -> tuple[list[int], torch.Tensor]:
        ids = tokenizer(text)["input_ids"]
        with torch.inference_mode():
            return ids, model(torch.tensor([ids]), use_cache=False).logits[0].double()

    rows = []
    for question in questions:
        text = prompt.write_prompt(question, shots, scoring)
        if scoring == "letters":
            letters = [tokenizer(f"Answer: {letter}")["input_ids"][-1] for letter in "ABCD"]
            rows.append(predictions(text)[1][-1][letters].tolist())
            continue
        n_before, row = len(tokenizer(text)["input_ids"]), []
        for choice in question.choices:
            ids, logits = predictions(f"{text} {choice}")
            likely = logits.log_softmax(-1)
            said = [float(likely[at - 1, ids[at]]) for at in range(n_before, len(ids))]
            row.append(sum(said) / len(said))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("options", ["shots=2", "scoring=text,shots=1"])
@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_sharing_changes_no_answer(architecture, options, tmp_path):
    folder = write_language_model(tmp_path / architecture, architecture)
    questions = make_questions(6, n_subjects=2)
    expert = load_expert(f"transformers:{folder},{options}")
    card = expert.card.transform
    answers = expert.predict(questions)
    expected = one_by_one(
        folder,
        questions,
        prompt=find_prompt(card["prompt"]["name"]),
        shots=card["shots"],
        scoring=card["scoring"],
    )
    np.testing.assert_allclose(answers, expected, atol=1e-5, rtol=0)
    assert answers.std() > 0.01  # equal because right, not because flat


@pytest.mark.parametrize(("quantise", "tolerance"), [(False, 1e-5), (True, 0.1)])
def test_a_gguf_file_answers_as_the_folder_it_was_made_of(quantise, tolerance, llama, tmp_path):
    file = write_gguf_model(llama, tmp_path / "llama.gguf", quantise=quantise)
    questions = make_questions(6)
    for options in (",shots=1", ",scoring=text"):
        whole = load_expert(f"transformers:{llama}{options}").predict(questions)
        read = load_expert(f"transformers:{file}{options}").predict(questions)
        np.testing.assert_allclose(read, whole, atol=tolerance, rtol=0)
        if quantise:
            assert not np.allclose(read, whole, atol=1e-5)
        assert whole.std() > 0.1


def test_what_questions_share_is_read_once(llama):
    expert = load_expert(f"transformers:{llama},shots=1")
    n_read = []
    expert._forward._model.model.embed_tokens.register_forward_hook(
        lambda _module, inputs, _output: n_read.append(inputs[0].numel())
    )
    questions = make_questions(12, n_subjects=1)
    prompts = [find_prompt("mmlu-original").write_prompt(each, 1, "letters") for each in questions]
    whole = sum(len(ids) for ids in train_tokenizer()(prompts)["input_ids"])
    first = expert.predict(questions)
    n_first = sum(n_read)
    n_read.clear()
    again = expert.predict(questions)
    np.testing.assert_array_equal(first, again)
    assert sum(n_read) < n_first < 0.75 * whole


def test_answers_do_not_depend_on_the_order_or_the_company(llama):
    questions = make_questions(9)
    expert = load_expert(f"transformers:{llama},scoring=text")
    together = expert.predict(questions)
    alone = np.concatenate([expert.predict([each]) for each in questions])
    backwards = expert.predict(questions[::-1])[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(backwards, together, atol=1e-5)


def test_every_question_brings_its_own_number_of_choices(llama):
    short = Question("Who?", ("Ann", "Bob"))
    long = Question("Who?", ("Ann", "Bob", "Cy", "Di", "Ed"))
    for options in ("", ",scoring=text"):
        answers = load_expert(f"transformers:{llama}{options}").predict([short, long])
        assert np.isfinite(answers).sum(axis=1).tolist() == [2, 5]
        assert np.isfinite(answers[0, :2]).all()


def test_no_questions_give_no_rows(llama):
    assert load_expert(f"transformers:{llama}").predict([]).shape == (0, 0)


@pytest.mark.parametrize("options", ["", ",scoring=text"])
def test_b092_a_question_longer_than_the_context_is_named_and_the_others_are_scored(options, llama):
    questions = make_questions(4)
    questions[2] = dataclasses.replace(questions[2], question="why " * 300)
    expert = load_expert(f"transformers:{llama}{options}")
    with pytest.raises(UnscorableInputsError) as refusal:
        expert.predict(questions)
    problems, logits = refusal.value.problems, refusal.value.logits
    assert list(problems) == [2]
    assert problems[2].code == "too_long"
    assert "the model reads 320" in problems[2].detail
    others = expert.predict([each for place, each in enumerate(questions) if place != 2])
    np.testing.assert_allclose(np.delete(logits, 2, axis=0), others, atol=1e-5)
    assert np.isnan(logits[2]).all()


def test_b092_a_question_that_fits_exactly_is_scored(llama):
    expert = load_expert(f"transformers:{llama}")
    prompt = find_prompt("mmlu-original")

    def ask(n_words: int) -> Question:
        return Question("w " * n_words, ("a", "b"))

    def count(n_words: int) -> int:
        text = prompt.write_prompt(ask(n_words), 0, "letters")
        return len(train_tokenizer()(text)["input_ids"])

    longest = max(n for n in range(50, 300) if count(n) <= 320)
    assert np.isfinite(expert.predict([ask(longest)])).all()
    with pytest.raises(UnscorableInputsError, match=f"{count(longest + 1)} tokens"):
        expert.predict([ask(longest + 1)])


@pytest.mark.parametrize("text", ["<|im_start|>system", "<|end|>", "a <|begin|> b"])
def test_b093_special_tokens_in_a_question_are_read_as_text(text, llama):
    expert = load_expert(f"transformers:{llama}")
    special = set(train_tokenizer().all_special_ids)
    (ids,) = expert._questions.encode([text])
    assert train_tokenizer().decode(ids[1:]) == text
    assert special.isdisjoint(ids[1:])
    assert np.isfinite(expert.predict([Question(text, (text, "b"))])).all()


def copy_model(source: Path, folder: Path, change_tokenizer: Callable[[dict], None]) -> Path:
    shutil.copytree(source, folder)
    document = json.loads((folder / "tokenizer.json").read_text())
    change_tokenizer(document)
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


def forget(token: str) -> Callable[[dict], None]:
    """Let a tokenizer no longer put the parts of ``token`` together."""

    def change(document: dict) -> None:
        model = document["model"]
        model["merges"] = [pair for pair in model["merges"] if "".join(pair) != token]

    return change


def test_b093_a_control_token_that_cannot_be_split_is_quarantined(llama, tmp_path):
    def add_role(document: dict) -> None:
        # As in Phi-3, whose roles are added tokens that aren't called special.
        kept = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        document["added_tokens"].append({"id": 399, "content": "<|user|>", **kept})
        vocabulary = document["model"]["vocab"]
        old = next(text for text, number in vocabulary.items() if number == 399)
        del vocabulary[old]
        vocabulary["<|user|>"] = 399
        forget(old)(document)

    expert = load_expert(f"transformers:{copy_model(llama, tmp_path / 'phi', add_role)}")
    with pytest.raises(UnscorableInputsError) as refusal:
        expert.predict([Question("<|user|> hi", ("a", "b")), Question("hi", ("a", "b"))])
    detail = "its text is a control token of this model"
    assert refusal.value.problems == {0: InputProblem("special_token", detail)}


def test_b094_a_tokenizer_that_splits_a_letter_is_refused_and_another_way_is_named(llama, tmp_path):
    folder = copy_model(llama, tmp_path / "copy", forget("ĠB"))
    with pytest.raises(ExpertRefused, match=r"letter B is not one token.*try scoring=text") as no:
        load_expert(f"transformers:{folder}")
    assert no.value.reason_code == "option_tokens"
    expert = load_expert(f"transformers:{folder},scoring=text")
    assert np.isfinite(expert.predict([Question("Who?", ("a", "b"))])).all()


def test_b094_two_letters_of_one_token_are_refused(llama, tmp_path):
    def ignore_case_and_more(document: dict) -> None:
        document["normalizer"] = {
            "type": "Replace", "pattern": {"String": " B"}, "content": " A"
        }  # fmt: skip

    folder = copy_model(llama, tmp_path / "copy", ignore_case_and_more)
    with pytest.raises(ExpertRefused, match="A and B are one and the same token"):
        load_expert(f"transformers:{folder}")


def test_b094_letters_beyond_the_known_ones_are_refused_when_they_are_needed(llama, tmp_path):
    folder = copy_model(llama, tmp_path / "copy", forget("ĠH"))
    expert = load_expert(f"transformers:{folder}")
    assert expert.predict([Question("Who?", tuple("abcdefg"))]).shape == (1, 7)
    with pytest.raises(ExpertRefused, match="letter H"):
        expert.predict([Question("Who?", tuple("abcdefgh"))])


def test_too_few_examples_refuse_the_expert_not_the_question(llama):
    expert = load_expert(f"transformers:{llama},shots=6")
    with pytest.raises(ExpertRefused, match="keeps 5 examples of 'subject_0'") as refusal:
        expert.predict(make_questions(2))
    assert refusal.value.reason_code == "examples"


def test_a_choice_without_text_is_named(llama):
    expert = load_expert(f"transformers:{llama},scoring=text,prompt=mmlu-original")
    assert expert.predict([Question("Who?", ("", "b"))]).shape == (1, 2)
    with pytest.raises(UnscorableInputsError, match="1 choices"):
        expert.predict([Question("Who?", ("a",))])


def test_the_card_says_prompt_scoring_and_shots_and_they_tell_experts_apart(llama):
    names = ["", ",prompt=mmlu-lm-eval", ",scoring=text", ",shots=2", ",precision=bfloat16"]
    cards = [load_expert(f"transformers:{llama}{name}").card for name in names]
    assert len({card.fingerprint for card in cards}) == len(cards)
    assert len({card.weights_sha256 for card in cards}) == 1
    stored = cards[3].to_json()
    assert stored["n_classes"] is None
    assert stored["transform"]["shots"] == 2
    assert stored["transform"]["prompt"]["name"] == "mmlu-original"
    assert stored["transform"]["prompt"]["question"] == "{question}{choices}\nAnswer:"
    assert stored["transform"]["context"] == 320


def test_bfloat16_answers_are_near_those_of_float32(llama):
    questions = make_questions(6)
    whole, half = (
        load_expert(f"transformers:{llama},precision={precision}").predict(questions)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(whole - half).max() < 0.1


def test_a_batch_that_does_not_fit_the_memory_is_halved(llama, monkeypatch):
    questions = make_questions(12, n_subjects=1)
    expert = load_expert(f"transformers:{llama}")
    expected = expert.predict(questions)
    forward, sizes = expert._forward._model.forward, []

    def narrow(*args, **kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return forward(*args, **kwargs)

    monkeypatch.setattr(expert._forward._model, "forward", narrow)
    np.testing.assert_allclose(expert.predict(questions), expected, atol=1e-5)
    assert max(sizes) > 3 >= sizes[-1]


@pytest.mark.parametrize("options", ["", ",scoring=text"])
def test_F44_a_question_that_fits_no_memory_is_named_and_the_others_are_scored(
    options, llama, monkeypatch
):
    questions = make_questions(6, n_subjects=1)
    expert = load_expert(f"transformers:{llama}{options}")
    forward, widths, room = expert._forward._model.forward, [], [10**6]

    def narrow(*args, **kwargs):
        widths.append(kwargs["input_ids"].shape[1])
        if widths[-1] > room[0]:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return forward(*args, **kwargs)

    monkeypatch.setattr(expert._forward._model, "forward", narrow)
    expected = expert.predict(questions)
    room[0] = max(widths)
    longer = questions[2].question + " and so on" * 20
    long = dataclasses.replace(questions[2], question=longer)
    with pytest.raises(UnscorableInputsError) as refusal:
        expert.predict([*questions[:2], long, *questions[3:]])
    problems, logits = refusal.value.problems, refusal.value.logits
    assert {place: each.code for place, each in problems.items()} == {2: "out_of_memory"}
    assert np.isnan(logits[2]).all()
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(logits[others], expected[others], atol=1e-5)


def test_a_memory_that_no_question_fits_refuses_the_expert(llama, monkeypatch):
    expert = load_expert(f"transformers:{llama}")

    def full(*_args, **_kwargs):
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(expert._forward._model, "forward", full)
    with pytest.raises(ExpertRefused, match="not one question fits") as refusal:
        expert.predict(make_questions(2))
    assert refusal.value.reason_code == "out_of_memory"
