// The items that this window may judge: leased, renewed, topped up, handed back.
class Leases extends EventTarget {
  static AHEAD = 5;
  queue = []; // items to judge, the open one first
  later = []; // put off, still ours
  isEmpty = false;
  elsewhere = 0; // what others hold when nothing is left for us
  #config;
  #store;
  #outbox;
  #isKnown; // slot -> whether a verdict on it is in the history
  #tickets = new Map(); // slot -> newest proof that it is ours
  #isAsking = false;
  #isRecalled = false; // whether the server has told the verdicts of earlier pages
  #tab;

  constructor(config, store, outbox, isKnown) {
    super();
    this.#config = config;
    this.#store = store;
    this.#outbox = outbox;
    this.#isKnown = isKnown;
    this.mode = "full";
    this.#tab = `${store}:tab:${makeKey()}`;
    addEventListener("pagehide", () => this.#leave());
    document.addEventListener("visibilitychange", () => this.#beat());
    setInterval(() => this.#beat(), (config.leaseSeconds * 1000) / 3);
    device.write(this.#tab, `${Date.now()}`);
  }

  ticket(slot) {
    return this.#tickets.get(slot);
  }

  renew(slot, ticket) {
    this.#tickets.set(slot, ticket);
  }

  postpone() {
    if (this.queue.length) this.later.push(this.queue.shift());
  }

  drop(slot) {
    this.queue = this.queue.filter((item) => item.slot !== slot);
  }

  // Ask for items as the other desk shows them; false without a network.
  async switchTo(mode) {
    const answer = await this.#ask(mode, true, []);
    if (answer.state !== "answered" || !answer.ok) return false;
    this.mode = mode;
    const shown = new Map(answer.data.items.map((item) => [item.slot, item]));
    const again = (item) => shown.get(item.slot);
    this.queue = this.queue.map(again).filter(Boolean);
    this.later = this.later.map(again).filter(Boolean);
    this.#take(answer.data);
    return true;
  }

  async refill() {
    if (this.#isAsking || this.queue.length > Leases.AHEAD) return;
    this.#isAsking = true;
    const has = [...this.queue, ...this.later].map((item) => item.slot);
    const answer = await this.#ask(this.mode, !this.#isRecalled, has);
    this.#isAsking = false;
    if (answer.state !== "answered" || !answer.ok) {
      this.#tell("trouble", answer.state);
      if (!this.queue.length) setTimeout(() => this.refill(), 3000);
      return;
    }
    this.#take(answer.data);
  }

  #ask(mode, recall, has) {
    const later = this.later.map((item) => item.slot);
    return sendJson(this.#config.urls.lease, { mode, later, recall, has });
  }

  #take(answer) {
    const open = this.queue[0];
    if (answer.history) {
      this.#isRecalled = true;
      this.#tell("recalled", answer);
    }
    const held = new Set([...this.queue, ...this.later].map((item) => item.slot));
    for (const [slot, ticket] of Object.entries(answer.tickets)) this.#tickets.set(Number(slot), ticket);
    for (const item of answer.items) {
      if (!held.has(item.slot) && !this.#isKnown(item.slot)) this.queue.push(item);
    }
    if (!this.queue.length) [this.queue, this.later] = [this.later, []];
    // Items we have judged come back while their verdicts are on the way: ask again after them.
    const isHeld = Object.keys(answer.tickets).length > 0;
    const isEarly = !this.queue.length && (isHeld || this.#outbox.entries.length > 0);
    this.isEmpty = !this.queue.length && !isEarly;
    this.elsewhere = answer.elsewhere;
    if (isEarly) setTimeout(() => this.refill(), 500);
    this.#tell("supplied", { isOpened: this.queue[0] !== open || !open });
  }

  async #beat() {
    if (document.hidden) return;
    device.write(this.#tab, `${Date.now()}`);
    const answer = await sendJson(this.#config.urls.heartbeat, {});
    if (answer.state !== "answered") return this.#tell("trouble", answer.state);
    if (!answer.ok) return;
    const held = new Set(answer.data.held);
    this.queue = this.queue.filter(({ slot }, place) => place === 0 || held.has(slot) || !this.#tickets.has(slot));
    this.later = this.later.filter(({ slot }) => held.has(slot));
    this.#tell("beaten", answer.data);
    this.refill();
  }

  // Another window of this desk shares the leases, so only the last one hands them back.
  #leave() {
    device.remove(this.#tab);
    const fresh = Date.now() - this.#config.leaseSeconds * 1000;
    const isShared = device.names().some(
      (name) => name.startsWith(`${this.#store}:tab:`) && Number(device.read(name)) > fresh,
    );
    const waiting = new Set(this.#outbox.entries.map((entry) => entry.slot));
    const slots = [...this.queue, ...this.later].map((item) => item.slot).filter((slot) => !waiting.has(slot));
    if (!isShared && slots.length) sendJson(this.#config.urls.hand_back, { slots }, { keepalive: true });
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
