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
