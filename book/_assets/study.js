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
window.addEventListener("load", focusWhatScrolls);
window.addEventListener("resize", focusWhatScrolls);
