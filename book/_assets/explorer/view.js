/** The parts of the page: small functions that make elements, with all foreign text as text. */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});

  const VERDICTS = { own: "✓ own study", same: "○ same label", other: "✗ other label" };

  /** An element with attributes and children; strings become text, never markup. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A label's mark (round or three-cornered) and its name. */
  function labelled(data, label) {
    const mark = element("span", { class: `cxr-mark cxr-mark-${label}`, "aria-hidden": "true" });
    return element("span", { class: "cxr-label" }, mark, data.labels[label]);
  }

  /** A study's image out of the sheet of all images; without a description it is decoration. */
  function thumbnail(data, folder, row, description) {
    const { file, columns } = data.thumbnails;
    const rows = Math.ceil(data.studies.length / columns);
    const [x, y] = [row % columns, Math.floor(row / columns)];
    const shown = element("span", { class: "cxr-thumbnail" });
    if (description) {
      shown.setAttribute("role", "img");
      shown.setAttribute("aria-label", description);
    }
    const share = (place, count) => `${count > 1 ? (100 * place) / (count - 1) : 0}%`;
    shown.style.backgroundImage = `url("${folder}${file}")`;
    shown.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    shown.style.backgroundPosition = `${share(x, columns)} ${share(y, rows)}`;
    return shown;
  }

  /** A labelled select; `options` are pairs of value and name. */
  function select(name, title, options) {
    const control = element("select", { id: `cxr-${name}`, name });
    for (const [value, text] of options) control.append(element("option", { value }, text));
    return { control, field: element("label", { class: "cxr-field" }, title, control) };
  }

  /** A group of radio buttons, one of which is chosen; `options` are pairs of value and name. */
  function radios(name, title, options) {
    const buttons = options.map(([value]) => element("input", { type: "radio", name, value }));
    const choices = options.map(([, text], i) =>
      element("label", { class: "cxr-choice" }, buttons[i], text),
    );
    const group = element("fieldset", {}, element("legend", {}, title), ...choices);
    return { buttons, group };
  }

  /** A push button. */
  function button(text, onClick, attributes = {}) {
    const made = element("button", { type: "button", class: "cxr-button", ...attributes }, text);
    made.addEventListener("click", onClick);
    return made;
  }

  /** The query's study: image and report, with the half that is the query marked in words. */
  function queryCard(data, folder, row, kind) {
    const { study, label, report } = data.studies[row];
    const part = (of, ...content) =>
      element(
        "div",
        { class: `cxr-part cxr-part-${of}${of === kind ? " cxr-chosen" : ""}` },
        ...(of === kind ? [element("span", { class: "cxr-tag" }, "the query")] : []),
        ...content,
      );
    return [
      element("h3", { tabindex: "-1" }, `Study ${study} `, labelled(data, label)),
      part("image", thumbnail(data, folder, row, `Image of study ${study}`)),
      part("report", element("p", { class: "cxr-report" }, report)),
    ];
  }

  /** One retrieved study; `verdict` is own, same or other, or null for a typed query. */
  function result(data, folder, { row, score }, rank, verdict, link) {
    const { study, label, report } = data.studies[row];
    const head = element(
      "p",
      { class: "cxr-head" },
      element("span", { class: "cxr-rank" }, `${rank}.`),
      element("a", { href: link, title: "Make this study the query" }, `Study ${study}`),
      labelled(data, label),
      element("span", { class: "cxr-score", title: "score: a cosine" }, score.toFixed(3)),
    );
    const compared = verdict
      ? [element("p", { class: `cxr-verdict cxr-${verdict}` }, VERDICTS[verdict])]
      : [];
    return element(
      "li",
      { class: `cxr-result${verdict === "own" ? " cxr-result-own" : ""}`, "data-study": study },
      thumbnail(data, folder, row, `Image of study ${study}`),
      element("div", {}, head, ...compared, element("p", { class: "cxr-report" }, report)),
    );
  }

  const PAGE = 24; // studies in view
  const FIND = "Find a study by number or words";

  /** The list of all studies, found by number or words, a page of thumbnails at a time. */
  class StudyList {
    constructor(data, folder, onPick) {
      Object.assign(this, { data, folder, onPick, page: 0, chosen: null });
      this.found = data.studies.map((_, row) => row);
      this.words = data.studies.map(({ study, report }) => ({ study, text: report.toLowerCase() }));
      this.search = element("input", { type: "search", id: "cxr-search", autocomplete: "off" });
      this.search.addEventListener("input", () => this.#filter());
      this.grid = element("ul", { class: "cxr-grid" });
      this.place = element("span", { role: "status", class: "cxr-place" });
      this.before = button("‹ Previous", () => this.#turn(-1));
      this.after = button("Next ›", () => this.#turn(1));
      this.random = button("Random study", () =>
        onPick(Math.floor(Math.random() * data.studies.length)),
      );
      this.parts = [
        element("label", { class: "cxr-field", for: "cxr-search" }, FIND),
        element("div", { class: "cxr-row" }, this.search, this.random),
        this.grid,
        element("div", { class: "cxr-row cxr-pager" }, this.before, this.place, this.after),
      ];
      this.#draw();
    }

    /** Mark the chosen study, and turn to its page if the search found it. */
    choose(row) {
      if (row === this.chosen) return;
      this.chosen = row;
      const place = this.found.indexOf(row);
      if (place >= 0 && Math.floor(place / PAGE) !== this.page) {
        this.page = Math.floor(place / PAGE);
        this.#draw();
      } else this.#mark();
    }

    #filter() {
      const wanted = this.search.value.toLowerCase().split(/\s+/u).filter(Boolean);
      const matches = ({ study, text }) =>
        wanted.every((word) => study === word || text.includes(word));
      this.found = this.words.flatMap((words, row) => (matches(words) ? [row] : []));
      this.page = 0;
      this.#draw();
    }

    #turn(by) {
      this.page += by;
      this.#draw();
    }

    #draw() {
      const from = this.page * PAGE;
      const rows = this.found.slice(from, from + PAGE);
      this.grid.replaceChildren(...rows.map((row) => element("li", {}, this.#tile(row))));
      this.place.textContent = rows.length
        ? `${from + 1} to ${from + rows.length} of ${this.found.length}`
        : "No study has these words.";
      this.before.disabled = this.page === 0;
      this.after.disabled = from + PAGE >= this.found.length;
      this.#mark();
    }

    #tile(row) {
      const { study, label } = this.data.studies[row];
      const mark = element("span", { class: `cxr-mark cxr-mark-${label}`, "aria-hidden": "true" });
      const tile = element(
        "button",
        {
          type: "button",
          class: "cxr-tile",
          "data-row": row,
          "aria-label": `Study ${study}, ${this.data.labels[label]}`,
        },
        thumbnail(this.data, this.folder, row),
        element("span", { class: "cxr-number" }, mark, study),
      );
      tile.addEventListener("click", () => this.onPick(row));
      return tile;
    }

    #mark() {
      for (const tile of this.grid.querySelectorAll("button")) {
        tile.setAttribute("aria-pressed", String(Number(tile.dataset.row) === this.chosen));
      }
    }
  }

  Object.assign(explorer, {
    element,
    labelled,
    select,
    radios,
    button,
    queryCard,
    result,
    StudyList,
  });
})();
