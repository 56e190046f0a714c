// What scrolls sideways can be reached by the keyboard.
function focusWhatScrolls() {
  for (const box of document.querySelectorAll(
    ".bd-article :is(table, pre, figure, .output, .math, mjx-container)"
  )) {
    if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") {
      box.tabIndex = 0;
    }
  }
}

// On a phone, figures wider than this many pixels scroll; smaller ones shrink and stay readable.
const READABLE_WHEN_SHRUNK = 620;

window.addEventListener("load", () => {
  for (const figure of document.querySelectorAll(".bd-article .cell_output img")) {
    figure.classList.toggle("wide", figure.naturalWidth > READABLE_WHEN_SHRUNK);
  }
  focusWhatScrolls();
});
window.addEventListener("resize", focusWhatScrolls);
