// What ticked classes say about the label, by the server's own table: `categories` maps a class
// to the verdict that it alone would make, the given label to "label_correct", and any class
// that isn't in it makes a wrong label.
const IS_ERROR = new Set(["wrong_label", "multi_object", "similar_class", "sub_class", "super_class"]);

function holdsLabel(labels, categories) {
  return labels.some((label) => categories[label] === "label_correct");
}

// `labels`: class indices, the main one first; empty = none of them; null = nothing chosen yet.
function proposeVerdict(labels, categories) {
  if (labels === null) return null;
  if (holdsLabel(labels, categories)) return labels.length === 1 ? "label_correct" : "multi_object";
  return labels.length ? (categories[labels[0]] ?? "wrong_label") : "wrong_label";
}

// Whether a verdict agrees with the ticks, so that it may stand in place of the proposed one.
function allowsVerdict(verdict, labels, categories) {
  if (verdict === "unsure") return true;
  if (labels === null) return false;
  const isKept = holdsLabel(labels, categories);
  if (verdict === "label_correct") return isKept;
  if (verdict === "multi_object") return isKept && labels.length > 1;
  if (verdict === "wrong_label") return !isKept;
  return !isKept || labels.length > 1;
}

const VERDICTS = {
  label_correct: ["Label correct", "correct"], wrong_label: ["Wrong label", "wrong"],
  multi_object: ["Multi-object", "multi"], similar_class: ["Similar class", "similar"],
  sub_class: ["Sub-class", "sub"], super_class: ["Super-class", "super"], unsure: ["Unsure", "unsure"],
};
const nameVerdict = (verdict) => VERDICTS[verdict]?.[0] ?? "No verdict yet";
const SEVERITIES = { 1: "near miss", 2: "clear", 3: "gross" };

function describe(past) {
  const named = past.ticked?.length ? past.ticked.map((one) => one.name).join(" + ") : past.corrected?.name;
  const classes = named && past.verdict !== "label_correct" ? ` → ${named}` : "";
  const note = past.note ? ` (${past.note})` : "";
  return VERDICTS[past.verdict][0] + classes + note;
}

function nameLabel(item) {
  return item.given.name;
}
