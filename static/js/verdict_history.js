// One's own verdicts that stand, the newest last, and which of them is looked at again.
class VerdictHistory {
  all = [];
  looking = null; // a place in `all`
  judged = null; // verdicts in the whole sample; unknown until the server has told

  get open() {
    return this.looking === null ? null : (this.all[this.looking] ?? null);
  }

  holds(slot) {
    return this.all.some((past) => past.item.slot === slot);
  }

  find(key) {
    return this.all.find((past) => past.key === key);
  }

  add(past) {
    this.all.push(past);
    this.judged += 1;
  }

  // Put a change of mind in the place of the verdict looked at.
  replace(past) {
    this.all[this.looking] = past;
  }

  takeBack() {
    const past = this.all.pop();
    if (past) this.judged -= 1;
    return past;
  }

  // What the server says in place of a verdict that it refused.
  correct({ kind, slot }, standing) {
    const place = this.all.findIndex((past) => past.item.slot === slot);
    if (place >= 0) this.all.splice(place, 1, ...(standing ? [standing] : []));
    else if (standing) this.all.push(standing);
    if (kind === "judge" && !standing) this.judged -= 1;
  }

  // The server's word, and after it what is still on its way there: an earlier page's verdicts
  // that it never heard of, and those whose answer got lost.
  recall(told, waiting) {
    this.all = told.history;
    this.judged = told.judged;
    for (const { kind, body, past } of waiting) {
      if (kind === "refer" || this.find(body.key)) continue;
      const place = this.all.findIndex((one) => one.key === (body.undoes ?? body.revises));
      if (kind === "judge") this.add(past);
      else if (place >= 0) {
        this.all.splice(place, 1, ...(kind === "revise" ? [past] : []));
        if (kind === "undo") this.judged -= 1;
      }
    }
  }
}
