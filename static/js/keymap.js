// The desk's keys: one list, from which the page acts and the keys dialog is made.
const KEYMAP = [
  { group: "Verdict and next", keys: ["q"], action: "verdict", value: "label_correct", does: "Label correct" },
  { group: "Verdict and next", keys: ["w"], action: "verdict", value: "wrong_label", does: "Wrong label" },
  { group: "Verdict and next", keys: ["m"], action: "verdict", value: "multi_object", does: "Multi-object" },
  { group: "Verdict and next", keys: ["s"], action: "verdict", value: "similar_class", does: "Similar class" },
  { group: "Verdict and next", keys: ["b"], action: "verdict", value: "sub_class", does: "Sub-class" },
  { group: "Verdict and next", keys: ["p"], action: "verdict", value: "super_class", does: "Super-class" },
  { group: "Verdict and next", keys: ["u"], action: "verdict", value: "unsure", does: "Unsure" },
  { group: "Right class", keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], shown: "1 – 9", action: "choose", does: "Choose that row" },
  { group: "Right class", keys: ["0"], action: "choose", does: "None of these" },
  { group: "Right class", keys: ["/"], action: "search", does: "Search every class" },
  { group: "Going about", keys: ["z"], action: "undo", does: "Undo the last verdict, as often as you like" },
  { group: "Going about", keys: ["arrowleft"], shown: "←", action: "back", does: "Look again at the one before" },
  { group: "Going about", keys: ["arrowright"], shown: "→", action: "forward", does: "Later: no verdict now, it comes back" },
  { group: "Going about", keys: ["c"], action: "note", does: "Add a note to the verdict" },
  { group: "Picture", keys: ["i"], action: "actual", does: "Original size, or fit" },
  { group: "Picture", keys: ["+", "="], shown: "+", action: "zoom", value: 1, does: "Closer" },
  { group: "Picture", keys: ["-"], shown: "−", action: "zoom", value: -1, does: "Further away" },
  { group: "Help", keys: ["g"], action: "guide", does: "Open or close the guide" },
  { group: "Help", keys: ["?"], action: "keys", does: "Show all keys" },
];

// What a pressed key means here: the letter itself, or the one at its place on other alphabets.
function readKey(event) {
  const key = event.key.toLowerCase();
  if (key.length > 1 || /^[!-~]$/.test(key)) {
    const digit = /^Digit(\d)$/.exec(event.code);
    return digit && !event.shiftKey && !/\d/.test(key) ? digit[1] : key;
  }
  const place = /^(?:Key|Digit)(\w)$/.exec(event.code);
  return place ? place[1].toLowerCase() : key;
}

function isTyping(target) {
  return target.closest?.("textarea, select, input:not([type=radio], [type=checkbox])") != null;
}

// Calls `act(action, value)` for keys of the list: never while typing, in a dialog, for held
// keys or together with Ctrl, Alt or Meta.
function listenToKeys(act) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const key = readKey(event);
    if (key.startsWith("arrow") && event.target.type === "radio") return;
    const entry = KEYMAP.find((one) => one.keys.includes(key));
    if (!entry) return;
    event.preventDefault();
    act(entry.action, entry.value ?? key);
  });
}
