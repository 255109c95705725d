// What is said of the open item until it is submitted, at any desk: the drafts that keep it, and how
// a change is shown and said aloud. What can be said is up to the answers of each kind of item.
class DeskAnswers {
  constructor(drafts, { open, redraw, say }) {
    this.drafts = drafts;
    this.open = open; // () -> the open item
    this.redraw = redraw;
    this.say = say;
  }
}
