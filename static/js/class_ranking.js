// Which classes are meant by what was typed: names, synonyms, WordNet ids, numbers, glosses, typos.
const LONGEST_SEARCH = 80; // letters of a search that count

// Capitals, accents and what stands between words make no difference.
function foldText(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[\s,_-]+/g, " ").trim();
}

function prepareClass(one) {
  const names = [one.name, ...one.synonyms].map(foldText);
  const words = [...new Set(names.flatMap((name) => name.split(" ")).filter(Boolean))];
  return { ...one, names, words, about: foldText(one.gloss) };
}

// Return the classes that match, the best first; what is alike stays in the order of their numbers.
function rankClasses(classes, typed) {
  const wanted = foldText(typed.slice(0, LONGEST_SEARCH));
  if (!wanted) return [];
  return classes.map((one) => [rankClass(one, wanted), one]).filter(([rank]) => rank > 0)
    .sort(([a, one], [b, other]) => b - a || one.index - other.index).map(([, one]) => one);
}

// Higher is better, 0 is no match. A synonym counts a little less than the name itself.
function rankClass(one, wanted) {
  if (one.wordnet_id === wanted || String(one.index) === wanted) return 100;
  let best = 0;
  for (let place = 0; place < one.names.length; place += 1) {
    const rank = rankName(one.names[place], wanted);
    best = Math.max(best, place && rank ? rank - 2 : rank);
  }
  if (best > 60) return best;
  if (one.wordnet_id.startsWith(wanted)) return 60;
  if (best > 0) return best;
  const words = wanted.split(" ");
  const holds = (word) => one.about.includes(word) || one.names.some((name) => name.includes(word));
  if (words.every(holds)) return 40;
  let total = 0;
  for (const word of words) {
    let least = Infinity;
    for (const other of one.words) least = Math.min(least, countTypos(word, other));
    if (least === Infinity) return 0;
    total += least;
  }
  return Math.max(30 - total, 1);
}

function rankName(name, wanted) {
  if (name === wanted) return 90;
  if (` ${name} `.includes(` ${wanted} `)) return 85;
  if (name.startsWith(wanted)) return 80;
  if (name.includes(` ${wanted}`)) return 70;
  return name.includes(wanted) ? 50 : 0;
}

// Return how many letters are wrong, missing, too many or swapped in `word` as the start of
// `other`: one in four letters or more, two in eight or more, else it is another word (Infinity).
function countTypos(word, other) {
  const most = word.length < 4 ? 0 : word.length < 8 ? 1 : 2;
  if (other.length + most < word.length) return Infinity;
  const width = Math.min(other.length, word.length + most);
  let before = [];
  let last = Array.from({ length: width + 1 }, (_, column) => column);
  for (let row = 1; row <= word.length; row += 1) {
    const now = [row];
    for (let column = 1; column <= width; column += 1) {
      const isSame = word[row - 1] === other[column - 1];
      let cost = Math.min(last[column - 1] + (isSame ? 0 : 1), last[column] + 1, now[column - 1] + 1);
      const isSwapped = row > 1 && column > 1 && word[row - 1] === other[column - 2] && word[row - 2] === other[column - 1];
      if (isSwapped) cost = Math.min(cost, before[column - 2] + 1);
      now.push(cost);
    }
    if (Math.min(...now) > most) return Infinity;
    [before, last] = [last, now];
  }
  const least = Math.min(...last);
  return least <= most ? least : Infinity;
}
