// The desk's keys: which act a pressed key means, as the person has set them.
class Keymap {
  constructor(acts) {
    this.acts = acts; // { name, key (the usual one), does, group }
    this.keys = {}; // name -> key
  }

  use(keys) {
    this.keys = keys;
  }

  // Rows called by capital letters too, as a question's options are.
  letters = "";

  // The act of a pressed key: its name, for "verdict:unsure" with the value "unsure".
  find(event) {
    const key = readKey(event);
    const row = event.shiftKey && key.length === 1 ? this.letters.indexOf(key) : -1;
    if (row >= 0) return { action: "toggle", value: row + 1 };
    const alias = key === "=" ? "+" : key; // plus needs Shift on many keyboards
    const name = Object.keys(this.keys).find((one) => this.keys[one] === key)
      ?? Object.keys(this.keys).find((one) => this.keys[one] === alias);
    if (name) return splitAct(name);
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (event.shiftKey && digit) return { action: "main", value: digit[1] };
    return /^[1-9]$/.test(key) ? { action: "toggle", value: key } : null;
  }

  shown(name) {
    return showKey(this.keys[name] ?? "");
  }

  // What else would be meant by this key, or undefined.
  conflict(name, key) {
    return this.acts.find((one) => one.name !== name && this.keys[one.name] === key);
  }
}

function splitAct(name) {
  const [action, value] = name.split(":");
  return { action, value };
}

const KEY_NAMES = {
  arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", enter: "↵", " ": "Space",
  backspace: "⌫", delete: "Del", insert: "Ins", pageup: "PgUp", pagedown: "PgDn", home: "Home", end: "End", "-": "−",
};

function showKey(key) {
  return KEY_NAMES[key] ?? key.toUpperCase();
}

// What a pressed key means here: the letter itself, or the one at its place on other alphabets.
function readKey(event) {
  const key = event.key.toLowerCase();
  if (key.length > 1 || /^[ -~]$/.test(key)) {
    const digit = /^Digit(\d)$/.exec(event.code);
    return digit && !event.shiftKey && !/\d/.test(key) ? digit[1] : key;
  }
  const place = /^(?:Key|Digit)(\w)$/.exec(event.code);
  return place ? place[1].toLowerCase() : key;
}

// A field keeps the focus until the next frame after its dialog closed: nobody types there any more.
function isTyping(target) {
  if (target.closest?.("dialog:not([open])")) return false;
  return target.closest?.("textarea, select, input:not([type=radio], [type=checkbox])") != null;
}

// Calls `act(action, value)` for bare keys: never while typing, in a dialog, for held keys or
// together with Ctrl, Alt or Meta; and never for what a focused control does with the key itself.
function listenToKeys(keymap, act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const key = readKey(event);
    if (["enter", " "].includes(key) && event.target.closest("button, a, summary")) return;
    if (key === " " && event.target.closest("input")) return;
    if (key.startsWith("arrow") && event.target.type === "radio") return;
    const found = keymap.find(event);
    if (!found) return;
    event.preventDefault();
    act(found.action, found.value);
  });
}
