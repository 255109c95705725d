// The picture pane: decodes ahead, paints at once, zooms and pans.
class Picture extends EventTarget {
  #pane;
  #frame;
  #zoom;
  #loaded = new Map(); // address -> { image, ready }
  #shown = null;

  constructor(pane) {
    super();
    this.#pane = pane;
    this.#frame = pane.querySelector(".picture-frame");
    this.#zoom = Panzoom(this.#frame, {
      minScale: 0.02,
      maxScale: 60,
      step: 0.4,
      animate: false,
      panOnlyWhenZoomed: true,
      canvas: true,
      cursor: "default",
      touchAction: "pan-y",
    });
    pane.addEventListener("wheel", (event) => this.#zoom.zoomWithWheel(event, { step: 0.25 }), { passive: false });
    this.#frame.addEventListener("panzoomchange", (event) => {
      const closer = event.detail.scale > 1.001;
      pane.classList.toggle("is-closer", closer);
      this.#zoom.setOptions({ touchAction: closer ? "none" : "pan-y", cursor: closer ? "grab" : "default" });
    });
    pane.querySelector("[data-retry]").addEventListener("click", () => this.#open(this.#shown));
    addEventListener("online", () => pane.dataset.state === "failed" && this.#open(this.#shown));
  }

  // What keeps the item from being judged, for whoever it is flagged to.
  get trouble() {
    return this.#pane.dataset.state === "failed" ? "The picture can't be displayed." : "";
  }

  // Fetches and decodes without showing; keeps what may be wanted again.
  prefetch(addresses) {
    for (const address of addresses) this.#load(address, "low");
    for (const address of [...this.#loaded.keys()].slice(0, -24)) {
      if (address !== this.#shown && !addresses.includes(address)) this.#loaded.delete(address);
    }
  }

  show(item) {
    return this.#open(item.image);
  }

  async #open(address) {
    this.#shown = address;
    const entry = this.#load(address, "high");
    if (entry.isReady) return this.#paint(entry.image);
    this.#set("loading");
    try {
      await entry.decoded;
    } catch {
      if (this.#shown === address) this.#set("failed");
      return;
    }
    if (this.#shown === address) this.#paint(entry.image);
  }

  #load(address, priority) {
    let entry = this.#loaded.get(address);
    if (entry) return entry;
    const image = new Image();
    image.alt = "The item to judge";
    image.draggable = false;
    image.fetchPriority = priority;
    image.src = address;
    entry = { image, isReady: false, decoded: image.decode() };
    entry.decoded.then(() => (entry.isReady = true), () => this.#loaded.delete(address));
    this.#loaded.set(address, entry);
    return entry;
  }

  #paint(image) {
    image.classList.toggle("is-pixelated", Math.max(image.naturalWidth, image.naturalHeight) < 128);
    this.#frame.replaceChildren(image);
    this.fit();
    this.#set("shown");
  }

  #set(state) {
    if (state !== "shown") this.#frame.replaceChildren();
    this.#pane.dataset.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  fit() {
    this.#zoom.reset({ animate: false });
  }

  zoom(direction) {
    if (direction > 0) this.#zoom.zoomIn();
    else this.#zoom.zoomOut();
  }

  // One picture pixel on one page pixel; again: fit.
  toggleActual() {
    const image = this.#frame.firstElementChild;
    if (!image) return;
    const fitted = Math.min(this.#frame.clientWidth / image.naturalWidth, this.#frame.clientHeight / image.naturalHeight);
    const isActual = Math.abs(this.#zoom.getScale() * fitted - 1) < 0.01;
    this.fit();
    if (!isActual) this.#zoom.zoom(1 / fitted, { animate: false });
  }
}
