// The review desk: which item is open, what a key or a button does, what is sent when.
(() => {
  const config = JSON.parse(document.getElementById("desk-config").textContent);
  const root = document.getElementById("desk");
  const store = `label-audit:${config.annotator}:${config.audit}`;
  const outbox = new Outbox(`${store}:outbox`);
  const training = new Training();
  const history = new VerdictHistory();
  const leases = new Leases(config, store, outbox, (slot) => history.holds(slot));
  const drafts = new Drafts(store, SHAPE);
  const keymap = new Keymap(config.preference.acts);
  // What the items are, pictures or questions, decides how they are shown and what is said of them.
  const kit = equipDesk({ root, config, drafts, keymap, open: openItem, redraw: showAnswer, say, judge });
  const { view, pane, answers } = kit;
  const BLINK = 200; // nobody sees and judges faster: a second press meant the item before

  let preference = config.preference;
  let isPainted = false;
  let shownAt = 0;

  // ----- the open item

  function say(words) {
    view.say(words);
  }

  function openItem() {
    return history.open?.item ?? leases.queue[0];
  }

  function show() {
    const item = openItem();
    isPainted = false;
    view.canJudge(false);
    view.strip(history.all, history.looking);
    view.progress(history.judged, config.total);
    training.show(item);
    if (!item) return view.mode(leases.isEmpty ? "done" : "loading");
    view.mode(history.open ? "look" : "judge");
    showAnswer();
    pane.show(item);
    prefetch();
  }

  function prefetch() {
    kit.prefetch(leases.queue.slice(0, Leases.AHEAD + 1));
  }

  function showAnswer() {
    const item = openItem();
    const past = history.open;
    view.answer(item, drafts.of(item), {
      past,
      proposed: answers.proposed(item),
      verdict: answers.standing(item),
      can: (verdict) => answers.allows(item, verdict),
      told: (past ? past.told : item.told) ?? null,
    });
  }

  const seenName = (item) => `${store}:seen:${item.slot}`;
  pane.addEventListener("state", ({ detail: state }) => {
    if (state !== "shown") {
      isPainted = false;
      return view.canJudge(false);
    }
    requestAnimationFrame(() => {
      const item = openItem();
      isPainted = true;
      shownAt = performance.now();
      view.canJudge(Boolean(item));
      // Who has once seen an item's label can't judge it blindly any more.
      if (item?.mode === "quick") device.write(seenName(item), "quick");
    });
  });

  // ----- verdicts

  // At the full desk a verdict key stands in for the proposal, and Enter submits what stands.
  function chooseVerdict(verdict) {
    const item = openItem();
    if (item?.mode === "full") answers.override(item, verdict);
    else if (item && answers.isReady(item, verdict)) judge(verdict);
  }

  function submit() {
    const item = openItem();
    const verdict = item && answers.standing(item);
    if (!item || (item.mode !== "full" && !verdict) || !answers.isReady(item, verdict)) return;
    if (history.open && !answers.differs(item, history.open)) return forward();
    judge(answers.standing(item)); // getting ready may have brought it about
  }

  function judge(verdict) {
    const item = openItem();
    const milliseconds = Math.round(performance.now() - shownAt);
    if (!item || !isPainted || milliseconds < BLINK) return;
    const said = answers.write(item, verdict);
    const past = {
      item,
      key: makeKey(),
      verdict,
      ...said.past,
      note: drafts.of(item).note,
      told: history.open?.told,
      isWaiting: true,
    };
    const body = {
      key: past.key,
      mode: device.read(seenName(item)) ?? item.mode,
      verdict,
      ...said.body,
      note: past.note,
      milliseconds: Math.min(milliseconds, 86_400_000),
      ui_version: config.uiVersion,
    };
    if (history.open) {
      body.revises = history.open.key;
      history.replace(past);
      leaveLook();
    } else {
      body.ticket = leases.ticket(item.slot);
      leases.queue.shift();
      history.add(past);
      drafts.forget(item);
      if (preference.stops_at_reveal && navigator.onLine) lookAgain(history.all.length - 1);
    }
    show();
    outbox.put({ kind: body.revises ? "revise" : "judge", url: config.urls.judge, slot: item.slot, body, past });
    say(`${describe(past)}. ${announceNext()}`);
    leases.refill();
  }

  function announceNext() {
    const item = openItem();
    if (!item || history.open) return "";
    return item.mode === "quick" ? `Next, labelled ${nameLabel(item)}` : "Next item";
  }

  function undo() {
    leaveLook();
    const past = history.takeBack();
    if (!past) return;
    leases.queue.unshift(past.item);
    drafts.resume(past.item, past);
    const body = { key: makeKey(), undoes: past.key, ui_version: config.uiVersion };
    outbox.put({ kind: "undo", url: config.urls.undo, slot: past.item.slot, body, past });
    say(`Undone: ${describe(past)}`);
    show();
  }

  // ----- going about

  function leaveLook() {
    if (history.open) drafts.forget(history.open.item);
    history.looking = null;
  }

  function lookAgain(place) {
    leaveLook();
    history.looking = place;
    drafts.resume(history.open.item, history.open);
  }

  function lookAt(place) {
    if (place < 0 || place >= history.all.length) return;
    lookAgain(place);
    show();
    say(`Looking again: ${describe(history.open)}`);
    if (history.open.is_revealed) reveal();
  }

  function forward() {
    if (history.open) {
      const next = history.looking + 1;
      leaveLook();
      if (next < history.all.length) return lookAt(next);
    } else {
      leases.postpone();
      say("Put off for later");
    }
    show();
    leases.refill();
  }

  // Label and experts of an item that was judged; what is said of it from then on is no first sight.
  async function reveal() {
    if (!history.open) lookAt(history.all.length - 1);
    const past = history.open;
    if (!past || past.told) return;
    if (past.isWaiting) return (past.wantsReveal = true);
    const answer = await sendJson(config.urls.reveal, { key: past.key });
    if (answer.state !== "answered" || !answer.ok) return say("Nothing can be revealed without a network");
    past.told = answer.data.told;
    if (history.open === past) showAnswer();
    say(`Labelled ${past.told.given.name}`);
  }

  function refer() {
    const item = openItem();
    if (!item) return;
    item.is_referred = !item.is_referred;
    const note = drafts.of(item).note || pane.trouble;
    const body = { slot: item.slot, ticket: leases.ticket(item.slot) ?? "", is_open: item.is_referred, note };
    outbox.put({ kind: "refer", url: config.urls.refer, slot: item.slot, body });
    showAnswer();
    say(item.is_referred ? "Flagged for adjudication" : "Flag taken back");
  }

  // ----- how the person likes the desk

  async function prefer(changes) {
    const answer = await sendJson(config.urls.preferences, changes);
    if (answer.state !== "answered") return "Not saved: there is no connection.";
    if (!answer.ok) return `Not saved: ${answer.data.error}.`;
    usePreference(answer.data);
    return undefined;
  }

  function usePreference(told) {
    preference = told;
    keymap.use(told.keys);
    view.keys(keymap);
    view.part("stops-at-reveal").checked = told.stops_at_reveal;
  }

  async function switchDesk(mode) {
    if (mode === leases.mode) return;
    leaveLook();
    if (!(await leases.switchTo(mode))) return say("The desk can't be changed without a network");
    prefer({ mode });
    show();
  }

  // ----- leases and the outbox

  function showStatus(state = outbox.state) {
    view.status(state, outbox.entries.length, device.memory.size === 0);
  }
  leases.addEventListener("trouble", ({ detail: state }) => state !== "answered" && showStatus(state));
  leases.addEventListener("recalled", ({ detail: told }) => history.recall(told, outbox.entries));
  leases.addEventListener("supplied", ({ detail: { isOpened } }) => {
    if (outbox.state === "idle") showStatus();
    view.elsewhere(leases.elsewhere);
    view.strip(history.all, history.looking);
    if (isOpened && !history.open) show();
    else prefetch();
  });
  leases.addEventListener("beaten", ({ detail }) => {
    if (outbox.state === "idle") showStatus();
    history.judged = detail.judged + outbox.entries.filter((entry) => entry.kind === "judge").length;
    view.progress(history.judged, config.total);
  });
  outbox.addEventListener("change", () => showStatus());
  outbox.addEventListener("saved", ({ detail: { entry, answer } }) => {
    if (entry.kind === "refer") return;
    if (entry.kind === "undo") {
      leases.renew(answer.slot, answer.ticket);
      // The new verdict on an undone item was given before the server could give its ticket.
      for (const one of outbox.entries.filter((other) => other.kind === "judge" && other.slot === answer.slot)) {
        outbox.amend((other) => other.id === one.id, { body: { ...one.body, ticket: answer.ticket } });
      }
      return leases.refill();
    }
    const past = history.find(entry.body.key);
    if (!past) return;
    past.isWaiting = false;
    view.strip(history.all, history.looking);
    if (answer.feedback) training.tell(past, answer.feedback);
    if (history.open === past && (past.wantsReveal || preference.stops_at_reveal)) reveal();
  });
  outbox.addEventListener("refused", ({ detail: { entry, answer } }) => {
    if (entry.kind === "refer") return say("The flag was not saved: the item is no longer yours");
    leaveLook();
    history.correct(entry, answer.standing && { item: entry.past.item, ...answer.standing });
    if (entry.kind === "undo") leases.drop(entry.slot);
    view.refusal(entry.past, answer.error ?? "this is no longer possible");
    show();
    leases.refill();
  });

  // ----- wiring

  const noteDialog = new NoteDialog((text) => {
    drafts.change(openItem(), { note: text });
    view.note(text);
  });
  const keysDialog = new KeysDialog(keymap, (keys) => prefer({ keys }));
  const guide = document.getElementById("guide");
  function toggleGuide() {
    guide.hidden = !guide.hidden;
    htmx.trigger("#guide-list", "open"); // its pictures are fetched the first time
  }
  guide.addEventListener("htmx:afterSwap", () => view.keys(keymap));
  const withItem = (act) => () => openItem() && act(openItem());
  const actions = {
    verdict: chooseVerdict,
    submit,
    toggle: (number) => answers.toggle(number),
    none: () => answers.chooseNone(),
    ...kit.actions,
    undo,
    back: () => lookAt((history.looking ?? history.all.length) - 1),
    forward,
    reveal,
    refer,
    note: withItem((item) => noteDialog.open(drafts.of(item).note)),
    guide: toggleGuide,
    keys: () => keysDialog.toggle(),
    switch: switchDesk,
    again: () => leases.refill(),
  };
  listenToKeys(keymap, (action, value) => actions[action]?.(value));
  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    if (at("[data-act]")) actions[at("[data-act]").dataset.act](at("[data-act]").dataset.value);
    if (at("[data-verdict]")) chooseVerdict(at("[data-verdict]").dataset.verdict);
    if (at("[data-past]")) lookAt(Number(at("[data-past]").dataset.past));
    if (at("[data-close]")) at("dialog").close();
    // What was clicked, not tabbed to, would otherwise take the next Enter or arrow for itself.
    const control = at("button, input[type=radio]");
    if (control && event.detail > 0 && !control.closest("dialog")) control.blur();
  });
  root.addEventListener("change", ({ target }) => {
    if (target.dataset.part === "stops-at-reveal") prefer({ stops_at_reveal: target.checked });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !guide.hidden && !document.querySelector("dialog[open]")) guide.hidden = true;
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  addEventListener("beforeunload", (event) => {
    if (outbox.entries.length && outbox.state !== "expired") event.preventDefault();
  });

  usePreference(config.preference);
  leases.mode = preference.mode || (matchMedia("(max-width: 48rem)").matches ? "quick" : "full");
  view.desk(leases.mode);
  showStatus();
  show();
  outbox.flush().then(() => leases.refill()).then(() => kit.start());
})();
