// Classes as elements: names are other people's text, so never as HTML.
const LONG = 160; // a gloss is read at a glance, or in full in its tooltip

function writeClass(one) {
  const name = document.createElement("bdi");
  name.className = "class-name";
  name.textContent = one.name;
  if (one.name.length > 40) name.title = one.name;
  const id = document.createElement("code");
  id.textContent = one.wordnet_id || `#${one.index}`;
  const parts = [name, id];
  if (one.shares_name) {
    const badge = document.createElement("span");
    badge.className = "pill pill-warn";
    badge.textContent = "name used twice";
    parts.push(badge);
  }
  if (one.gloss) {
    const gloss = document.createElement("bdi");
    gloss.className = "gloss";
    gloss.textContent = one.gloss.length > LONG ? `${one.gloss.slice(0, LONG)} …` : one.gloss;
    if (one.gloss.length > 40) gloss.title = one.gloss;
    parts.push(gloss);
  }
  return parts;
}

// Pictures of a class that are beyond doubt; never the item that is being judged.
class Exemplars {
  #address; // of a thumbnail, with 0 where the item's number goes

  constructor(address) {
    this.#address = address;
  }

  of(one, item) {
    return one.exemplars.filter((number) => number !== item.item);
  }

  write(one, item, most) {
    const shown = this.of(one, item).slice(0, most);
    if (shown.length) return shown.map((number) => this.#picture(number));
    const none = document.createElement("span");
    none.className = "no-exemplars";
    none.textContent = "no clean example";
    return [none];
  }

  // Fetch what the next item will show.
  prefetch(item) {
    for (const one of item.candidates) {
      for (const number of this.of(one, item).slice(0, 3)) new Image().src = this.#thumb(number);
    }
  }

  #thumb(number) {
    return this.#address.replace("/0/", `/${number}/`);
  }

  #picture(number) {
    const image = new Image();
    image.alt = "";
    image.loading = "lazy";
    image.decoding = "async";
    image.addEventListener("load", () => image.classList.toggle("is-pixelated", image.naturalWidth < 64));
    image.addEventListener("error", () => image.remove());
    image.src = this.#thumb(number);
    return image;
  }
}
