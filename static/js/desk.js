// The review desk: which item is open, what a key or a button does, what is sent when.
(() => {
  const config = JSON.parse(document.getElementById("desk-config").textContent);
  const root = document.getElementById("desk");
  const store = `label-audit:${config.annotator}:${config.audit}`;
  const view = new DeskView(root);
  const picture = new Picture(document.getElementById("picture"));
  const outbox = new Outbox(`${store}:outbox`);
  const search = new ClassSearch(document.getElementById("search-dialog"), config.urls.class_search);
  const AHEAD = 5;
  const BLINK = 200; // nobody sees and judges faster: a second press meant the item before

  let queue = []; // items to judge, the open one first
  let later = []; // put off, still ours
  let history = []; // own verdicts that stand, the newest last
  let isRecalled = false; // whether the server has told those of earlier pages
  let looking = null; // place in the history of an item looked at again
  let judged = null; // verdicts in the whole sample; unknown until the server has told
  let refilling = false;
  let isEmpty = false;
  let isPainted = false;
  let shownAt = 0;
  const chosen = new Map(); // slot -> class index or null
  const added = new Map(); // slot -> classes found by search
  const tickets = new Map(); // slot -> newest proof that it is ours

  // ----- the open item

  const openItem = () => (looking === null ? queue[0] : history[looking].item);
  const candidatesOf = (item) => [...item.candidates, ...(added.get(item.slot) ?? [])];
  const chosenIn = (item) => (chosen.has(item.slot) ? chosen.get(item.slot) : item.chosen);
  const noteName = (item) => `${store}:note:${item.slot}`;
  const readNote = (item) => device.read(noteName(item)) ?? (looking === null ? "" : history[looking].note);

  function show() {
    const item = openItem();
    isPainted = false;
    view.canJudge(false);
    view.strip(history, looking);
    view.progress(judged, config.total);
    if (!item) return view.mode(isEmpty ? "done" : "loading");
    view.mode(looking === null ? "judge" : "look");
    showAnswer();
    picture.show(item.image);
    picture.prefetch(queue.slice(0, AHEAD + 1).map((one) => one.image));
  }

  function showAnswer() {
    const item = openItem();
    const past = looking === null ? null : history[looking];
    view.item(item, candidatesOf(item), chosenIn(item), past);
    view.note(readNote(item));
  }

  picture.addEventListener("state", ({ detail: state }) => {
    if (state !== "shown") {
      isPainted = false;
      return view.canJudge(false);
    }
    requestAnimationFrame(() => {
      isPainted = true;
      shownAt = performance.now();
      view.canJudge(Boolean(openItem()));
    });
  });

  // ----- verdicts

  function judge(verdict) {
    const item = openItem();
    const milliseconds = Math.round(performance.now() - shownAt);
    if (!item || !isPainted || milliseconds < BLINK) return;
    const index = IS_ERROR.has(verdict) ? chosenIn(item) : null;
    const corrected = candidatesOf(item).find((one) => one.index === index) ?? null;
    const past = { item, key: makeKey(), verdict, corrected, note: readNote(item), isWaiting: true };
    const body = {
      key: past.key,
      verdict,
      corrected_label: corrected?.index ?? null,
      note: past.note,
      milliseconds: Math.min(milliseconds, 86_400_000),
    };
    if (looking === null) {
      body.ticket = tickets.get(item.slot);
      queue.shift();
      history.push(past);
      judged += 1;
    } else {
      body.revises = history[looking].key;
      history[looking] = past;
      looking = null;
    }
    show();
    device.remove(noteName(item));
    outbox.put({ kind: body.revises ? "revise" : "judge", url: config.urls.judge, slot: item.slot, body, past });
    view.say(`${describe(past)}. ${openItem() ? `Next, labelled ${openItem().given.name}` : ""}`);
    refill();
  }

  function undo() {
    const past = history.pop();
    if (!past) return;
    looking = null;
    judged -= 1;
    queue.unshift(past.item);
    if (IS_ERROR.has(past.verdict)) keepChoice(past.item, past.corrected);
    if (past.note) device.write(noteName(past.item), past.note);
    const body = { key: makeKey(), undoes: past.key };
    outbox.put({ kind: "undo", url: config.urls.undo, slot: past.item.slot, body, past });
    view.say(`Undone: ${describe(past)}`);
    show();
  }

  function keepChoice(item, one) {
    if (one && !candidatesOf(item).some((other) => other.index === one.index)) {
      added.set(item.slot, [...(added.get(item.slot) ?? []), one]);
    }
    chosen.set(item.slot, one?.index ?? null);
  }

  function lookAt(place) {
    if (place < 0 || place >= history.length) return;
    looking = place;
    const { item, verdict, corrected } = history[place];
    if (IS_ERROR.has(verdict)) keepChoice(item, corrected);
    show();
    view.say(`Looking again: ${describe(history[place])}`);
  }

  function forward() {
    if (looking !== null) {
      looking = looking + 1 < history.length ? looking + 1 : null;
    } else if (queue.length) {
      later.push(queue.shift());
      view.say("Put off for later");
    }
    show();
    refill();
  }

  // ----- the right class and the note

  function choose(key) {
    const item = openItem();
    if (!item) return;
    const one = candidatesOf(item)[Number(key) - 1];
    if (key !== "0" && !one) return;
    chosen.set(item.slot, one?.index ?? null);
    showAnswer();
    view.say(one ? `Right class: ${one.name}` : "Right class: none of these");
  }

  function openSearch() {
    const item = openItem();
    if (!item) return;
    search.open((one) => {
      if (one.index === item.given.index) return view.say("That is the given label");
      keepChoice(item, one);
      if (openItem() === item) showAnswer();
    });
  }

  const noteDialog = document.getElementById("note-dialog");
  const noteField = noteDialog.querySelector("textarea");
  function openNote() {
    if (!openItem()) return;
    noteField.value = readNote(openItem());
    noteDialog.showModal();
  }
  noteField.addEventListener("input", () => device.write(noteName(openItem()), noteField.value));
  noteField.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      noteDialog.close();
    }
  });
  noteDialog.addEventListener("close", () => openItem() && view.note(readNote(openItem())));

  // ----- leases

  async function refill() {
    if (refilling || queue.length > AHEAD) return;
    refilling = true;
    const answer = await sendJson(config.urls.lease, {
      later: later.map((item) => item.slot),
      recall: !isRecalled,
    });
    refilling = false;
    if (answer.state !== "answered" || !answer.ok) {
      if (answer.state !== "answered") showStatus(answer.state);
      if (!queue.length) setTimeout(refill, 3000);
      return;
    }
    if (outbox.state === "idle") showStatus();
    if (!isRecalled) recall(answer.data);
    const wasOpen = openItem();
    const known = new Set([...queue, ...later, ...history.map((past) => past.item)].map((item) => item.slot));
    for (const item of answer.data.items) {
      tickets.set(item.slot, item.ticket);
      if (!known.has(item.slot)) queue.push(item);
    }
    if (!queue.length) [queue, later] = [later, []];
    // Items we have judged come back while their verdicts are on the way: ask again after them.
    const isEarly = !queue.length && (answer.data.items.length > 0 || outbox.entries.length > 0);
    isEmpty = !queue.length && !isEarly;
    if (isEarly) setTimeout(refill, 500);
    view.elsewhere(answer.data.elsewhere);
    if (openItem() !== wasOpen || !wasOpen) show();
    else picture.prefetch(queue.slice(0, AHEAD + 1).map((item) => item.image));
  }

  async function beat() {
    if (document.hidden) return;
    device.write(tabName, `${Date.now()}`);
    const answer = await sendJson(config.urls.heartbeat, {});
    if (answer.state !== "answered") return showStatus(answer.state);
    if (!answer.ok) return;
    if (outbox.state === "idle") showStatus();
    const held = new Set(answer.data.held);
    const isOurs = (item, place) => place === 0 || held.has(item.slot) || !tickets.has(item.slot);
    queue = queue.filter(isOurs);
    later = later.filter((item) => held.has(item.slot));
    judged = answer.data.judged + outbox.entries.filter((entry) => entry.kind === "judge").length;
    view.progress(judged, config.total);
    refill();
  }

  // Another window of this desk shares the leases, so only the last one hands them back.
  const tabName = `${store}:tab:${makeKey()}`;
  function leave() {
    device.remove(tabName);
    const fresh = Date.now() - config.leaseSeconds * 1000;
    const isShared = device.names().some(
      (name) => name.startsWith(`${store}:tab:`) && Number(device.read(name)) > fresh,
    );
    const waiting = new Set(outbox.entries.map((entry) => entry.slot));
    const slots = [...queue, ...later].map((item) => item.slot).filter((slot) => !waiting.has(slot));
    if (!isShared && slots.length) sendJson(config.urls.hand_back, { slots }, { keepalive: true });
  }

  // ----- the outbox

  function showStatus(state = outbox.state) {
    view.status(state, outbox.entries.length, device.memory.size === 0);
  }
  outbox.addEventListener("change", () => showStatus());
  outbox.addEventListener("saved", ({ detail: { entry, answer } }) => {
    if (entry.kind === "undo") {
      tickets.set(answer.slot, answer.ticket);
      // The new verdict on an undone item was given before the server could give its ticket.
      for (const one of outbox.entries.filter((other) => other.kind === "judge" && other.slot === answer.slot)) {
        outbox.amend((other) => other.id === one.id, { body: { ...one.body, ticket: answer.ticket } });
      }
      return refill();
    }
    const past = history.find((one) => one.key === entry.body.key);
    if (past) past.isWaiting = false;
    view.strip(history, looking);
  });
  outbox.addEventListener("refused", ({ detail: { entry, answer } }) => {
    looking = null;
    const standing = answer.standing && { item: entry.past.item, ...answer.standing };
    const place = history.findIndex((one) => one.item.slot === entry.slot);
    if (place >= 0) history.splice(place, 1, ...(standing ? [standing] : []));
    else if (standing) history.push(standing);
    if (entry.kind === "undo") queue = queue.filter((item) => item.slot !== entry.slot);
    if (entry.kind === "judge" && !standing) judged -= 1;
    view.refusal(entry.past, answer.error ?? "this is no longer possible");
    show();
    refill();
  });

  // The server's word, and after it what is still on its way there: an earlier page's verdicts
  // that it never heard of, and those whose answer got lost.
  function recall(told) {
    isRecalled = true;
    history = told.history;
    judged = told.judged;
    for (const { kind, body, past } of outbox.entries) {
      if (history.some((one) => one.key === body.key)) continue;
      const place = history.findIndex((one) => one.key === (body.undoes ?? body.revises));
      if (kind === "judge") {
        history.push(past);
        judged += 1;
      } else if (place >= 0) {
        history.splice(place, 1, ...(kind === "revise" ? [past] : []));
        if (kind === "undo") judged -= 1;
      }
    }
  }

  // ----- wiring

  const toggle = (dialog) => (dialog.open ? dialog.close() : dialog.showModal());
  const guide = document.getElementById("guide");
  const actions = {
    verdict: judge,
    choose,
    search: openSearch,
    undo,
    back: () => lookAt((looking ?? history.length) - 1),
    forward,
    note: openNote,
    actual: () => picture.toggleActual(),
    fit: () => picture.fit(),
    zoom: (direction) => picture.zoom(Number(direction)),
    guide: () => (guide.hidden = !guide.hidden),
    keys: () => toggle(document.getElementById("keys-dialog")),
    again: refill,
  };
  listenToKeys((action, value) => actions[action](value));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) actions[button.dataset.act](button.dataset.value);
    const verdict = event.target.closest("[data-verdict]");
    if (verdict) judge(verdict.dataset.verdict);
    const past = event.target.closest("[data-past]");
    if (past) lookAt(Number(past.dataset.past));
    const close = event.target.closest("[data-close]");
    if (close) close.closest("dialog").close();
    // A radio button that was clicked would otherwise take the arrow keys.
    if (event.target.type === "radio" && event.detail > 0) event.target.blur();
  });
  root.addEventListener("change", (event) => {
    if (event.target.name !== "corrected") return;
    chosen.set(openItem().slot, event.target.value === "" ? null : Number(event.target.value));
    view.consequence(candidatesOf(openItem()).find((one) => one.index === chosenIn(openItem())));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !guide.hidden && !document.querySelector("dialog[open]")) guide.hidden = true;
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  addEventListener("beforeunload", (event) => {
    if (outbox.entries.length && outbox.state !== "expired") event.preventDefault();
  });
  document.addEventListener("visibilitychange", beat);
  setInterval(beat, (config.leaseSeconds * 1000) / 3);

  device.write(tabName, `${Date.now()}`);
  showStatus();
  show();
  outbox.flush().then(refill).then(() => search.load());
})();
