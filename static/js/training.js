// The training set: what is open is known, and after each verdict the answer is told.
class Training {
  #dialog = document.getElementById("training-dialog");
  #banner = document.querySelector("[data-part=training]");

  show(item) {
    this.#banner.hidden = !item?.is_training;
  }

  tell(past, { verdict, is_right: isRight, given, corrected, why }) {
    const part = (name) => this.#dialog.querySelector(`[data-part=${name}]`);
    const answer = corrected ? `${nameVerdict(verdict)}: ${corrected.name}` : nameVerdict(verdict);
    part("training-title").textContent = isRight ? "Right" : "Not what was expected";
    part("training-answer").textContent = answer;
    part("training-given").textContent = given.name;
    part("training-yours").textContent = describe(past);
    part("training-why").textContent = why;
    part("training-why").hidden = !why;
    if (!this.#dialog.open) this.#dialog.showModal();
  }
}
