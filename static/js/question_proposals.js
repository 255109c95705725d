// The MMLU-Redux class of a question, by the same rule as the server's.
const VERDICTS = {
  label_correct: ["Key correct", "correct"], wrong_ground_truth: ["Wrong key", "wrong"],
  multiple_correct: ["Several correct answers", "several"], no_correct: ["No correct answer", "none"],
  bad_question_clarity: ["Unclear question", "unclear"], bad_options_clarity: ["Unclear options", "unclear"],
  unsure: ["Unsure", "unsure"],
};
const nameVerdict = (verdict) => VERDICTS[verdict]?.[0] ?? "No verdict yet";
const KEY_CHANGES = new Set(["wrong_ground_truth", "multiple_correct", "no_correct"]);
const UNCLEAR = new Set(["bad_question_clarity", "bad_options_clarity"]);
const IS_ERROR = new Set([...KEY_CHANGES, ...UNCLEAR]);
const MOST_SOURCE = 500;

// `labels`: the options that hold; empty = none of them; null = nothing answered yet.
function proposeVerdict(labels, given) {
  if (labels === null) return null;
  if (labels.length === 0) return "no_correct";
  if (labels.length > 1) return "multiple_correct";
  return labels[0] === given ? "label_correct" : "wrong_ground_truth";
}

// Whether a class agrees with the answers, so that it may stand in place of the derived one.
function allowsVerdict(verdict, labels, given) {
  return verdict === "unsure" || UNCLEAR.has(verdict) || verdict === proposeVerdict(labels, given);
}

const nameOption = (index) => String.fromCharCode(65 + index);

function nameOptions(labels) {
  return labels.length ? labels.map(nameOption).join(" + ") : "none";
}

function nameLabel(item) {
  return nameOption(item.key_label);
}

function describe(past) {
  const key = nameLabel(past.item);
  const change = KEY_CHANGES.has(past.verdict) && past.labels ? ` → ${nameOptions(past.labels)}` : "";
  const note = past.note ? ` (${past.note})` : "";
  return `${VERDICTS[past.verdict][0]}: ${key}${change}${note}`;
}
