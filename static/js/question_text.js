// A question's text as elements: formulas, code and plain text, and never as HTML.
// Formulas come as $...$, $$...$$, \(...\) and \[...\]; code in back quotes or as lines that look
// like it. What KaTeX can't read shows as it was written.
const MATH = {
  output: "mathml", // no style attributes, which the site's policy forbids
  throwOnError: true,
  trust() {
    throw new RangeError("addresses, pictures and styles are not for questions");
  },
  strict: "ignore",
  maxExpand: 200,
  maxSize: 20,
};
const LONGEST_FORMULA = 2000;
// In this order: whole blocks of code, code, displayed and inline formulas. A dollar opens a
// formula when no space follows it, and closes one before anything but a digit: $5 and $10 are money.
const PIECES = new RegExp(
  [
    "```[^\\n`]*\\n(?<block>[\\s\\S]*?)\\n?```",
    "`(?<code>[^`\\n]+)`",
    "\\$\\$(?<shown>[^$]+?)\\$\\$",
    "\\\\\\[(?<bracketed>[\\s\\S]+?)\\\\\\]",
    "\\\\\\((?<inline>[\\s\\S]+?)\\\\\\)",
    "(?<![\\\\$\\w])\\$(?<dollars>[^\\s$](?:[^$\\n]*[^\\s$\\\\])?)\\$(?!\\d)",
  ].join("|"),
  "g",
);
const LOOKS_LIKE_CODE = /^(?:\t| {2,})\S|[{};]\s*$|^\s*(?:def|class|for|while|if|elif|else|try|except|with)\b.*:\s*$/;

function writeText(text) {
  const whole = document.createDocumentFragment();
  let end = 0;
  for (const found of text.matchAll(PIECES)) {
    whole.append(...writePlain(text.slice(end, found.index)), writePiece(found));
    end = found.index + found[0].length;
  }
  whole.append(...writePlain(text.slice(end)));
  closeUp(whole);
  return whole;
}

// Blocks bring their own distance: the blanks and line ends beside them go.
function closeUp(whole) {
  for (const block of whole.querySelectorAll("pre, .formula-displayed")) {
    for (const side of ["previousSibling", "nextSibling"]) {
      const text = block[side];
      if (text?.nodeType !== Node.TEXT_NODE) continue;
      text.data = side === "nextSibling" ? text.data.replace(/^[ \t]*\n?\n?[ \t]*(?=\S|$)/, "") : text.data.trimEnd();
    }
  }
}

function writePiece(found) {
  const { block, code, shown, bracketed, inline, dollars } = found.groups;
  if (block !== undefined) return writeCode(block);
  if (code !== undefined) return element("code", code);
  return writeFormula(shown ?? bracketed ?? inline ?? dollars, found[0], (shown ?? bracketed) !== undefined);
}

function writeFormula(formula, written, isDisplayed) {
  try {
    if (formula.length > LONGEST_FORMULA) throw new RangeError("too long a formula");
    const tree = katex.__renderToDomTree(formula, { ...MATH, displayMode: isDisplayed });
    adapt(tree);
    const place = element("span", "", isDisplayed ? "formula formula-displayed" : "formula");
    place.append(tree.toNode());
    if (isDisplayed) scrollsSideways(place, "Formula");
    return place;
  } catch {
    const source = element("code", written, "formula-source");
    source.title = "This formula can't be read; it is shown as it is written";
    return source;
  }
}

// A few rare commands, as coloured boxes, would write style attributes. And browsers draw bold,
// script and double-struck letters only where the letters themselves say so.
function adapt(node) {
  if (node.attributes) {
    delete node.attributes.style;
    const alphabet = ALPHABETS[node.attributes.mathvariant];
    if (alphabet) {
      for (const child of node.children) if (child.text) child.text = writeLetters(child.text, alphabet);
      delete node.attributes.mathvariant;
    }
  }
  for (const child of node.children ?? []) adapt(child);
}

// Where each alphabet's A, a and 0 lie among the letters for mathematics; letters that had a
// place before those were added keep it.
const ALPHABETS = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce],
  "bold-italic": [0x1d468, 0x1d482],
  script: [0x1d49c, 0x1d4b6],
  "bold-script": [0x1d4d0, 0x1d4ea],
  fraktur: [0x1d504, 0x1d51e],
  "double-struck": [0x1d538, 0x1d552, 0x1d7d8],
  "sans-serif": [0x1d5a0, 0x1d5ba, 0x1d7e2],
  "bold-sans-serif": [0x1d5d4, 0x1d5ee, 0x1d7ec],
  "sans-serif-italic": [0x1d608, 0x1d622],
  monospace: [0x1d670, 0x1d68a, 0x1d7f6],
};
const OLDER_LETTERS = {
  "\u{1d49d}": "ℬ", "\u{1d4a0}": "ℰ", "\u{1d4a1}": "ℱ", "\u{1d4a3}": "ℋ", "\u{1d4a4}": "ℐ", "\u{1d4a7}": "ℒ",
  "\u{1d4a8}": "ℳ", "\u{1d4ad}": "ℛ", "\u{1d4ba}": "ℯ", "\u{1d4bc}": "ℊ", "\u{1d4c4}": "ℴ", "\u{1d506}": "ℭ",
  "\u{1d50b}": "ℌ", "\u{1d50c}": "ℑ", "\u{1d515}": "ℜ", "\u{1d51d}": "ℨ", "\u{1d53a}": "ℂ", "\u{1d53f}": "ℍ",
  "\u{1d545}": "ℕ", "\u{1d547}": "ℙ", "\u{1d548}": "ℚ", "\u{1d549}": "ℝ", "\u{1d551}": "ℤ",
};

function writeLetters(text, [capitals, smalls, digits]) {
  return text.replace(/[A-Za-z0-9]/g, (letter) => {
    const [first, from] = /[A-Z]/.test(letter) ? ["A", capitals] : /[a-z]/.test(letter) ? ["a", smalls] : ["0", digits];
    if (!from) return letter;
    const found = String.fromCodePoint(from + letter.charCodeAt(0) - first.charCodeAt(0));
    return OLDER_LETTERS[found] ?? found;
  });
}

// Plain text, in which two and more lines that look like code stand in one block.
function writePlain(text) {
  const lines = text.split("\n");
  const parts = [];
  for (let at = 0; at < lines.length; ) {
    const isCode = LOOKS_LIKE_CODE.test(lines[at]);
    let next = at + 1;
    while (next < lines.length && LOOKS_LIKE_CODE.test(lines[next]) === isCode) next += 1;
    const part = lines.slice(at, next).join("\n");
    if (isCode && next - at > 1) parts.push(writeCode(part));
    else parts.push((parts.length && !(parts.at(-1) instanceof Element) ? "\n" : "") + part);
    at = next;
  }
  return parts;
}

function writeCode(text) {
  const block = element("pre", "", "code-block");
  block.append(element("code", text));
  scrollsSideways(block, "Code");
  return block;
}

// What is wider than its place scrolls, also by keyboard.
function scrollsSideways(block, name) {
  block.tabIndex = 0;
  block.setAttribute("role", "group");
  block.setAttribute("aria-label", name);
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
