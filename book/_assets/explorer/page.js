/** The page's skeleton: settings, query, map and results, and the ways to fill them. */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});
  const { element, labelled, select, radios, button, queryCard, StudyList } = explorer;

  /** Model, protocol and number of results; `change` is called with what the reader chose. */
  function settings(data, change, most) {
    const fields = {
      model: select("model", "Model", data.models.map(({ key, name }) => [key, name])),
      protocol: select("protocol", "Protocol", [
        ["cross_modal", "strict: the other modality only"],
        ["fused", "the paper’s: fused index"],
        ["within", ""],
      ]),
      k: select("k", "Results", Array.from({ length: most }, (_, i) => [i + 1, String(i + 1)])),
    };
    for (const [name, { control }] of Object.entries(fields)) {
      control.addEventListener("change", () => change({ [name]: control.value }));
    }
    const explained = element("p", { class: "cxr-note" });
    const form = element(
      "form",
      { class: "cxr-settings", "aria-label": "Settings" },
      ...Object.values(fields).map(({ field }) => field),
      explained,
    );
    const within = fields.protocol.control.options[2];
    const reflect = (state, explanation) => {
      for (const [name, { control }] of Object.entries(fields)) control.value = state[name];
      const pair = state.query === "image" ? "image to image" : "report to report";
      within.textContent = `${pair}, query left out`;
      within.disabled = state.query === "typed";
      explained.textContent = `${explanation} Scores are cosines.`;
    };
    return { form, reflect };
  }

  /** A text of the reader's own, sent by its button or by Ctrl+Enter. */
  function typing(change) {
    const box = element("textarea", {
      id: "cxr-text",
      rows: "4",
      placeholder: "large right pleural effusion",
      "aria-describedby": "cxr-keys",
    });
    const form = element(
      "form",
      { class: "cxr-typing" },
      element("label", { class: "cxr-field", for: "cxr-text" }, "Your report, in English"),
      box,
      element(
        "div",
        { class: "cxr-row" },
        element("button", { class: "cxr-button cxr-primary" }, "Retrieve"),
        element("span", { id: "cxr-keys", class: "cxr-note" }, "or Ctrl+Enter"),
      ),
    );
    const send = () => change({ text: box.value, query: "typed" });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
    });
    return { form, box };
  }

  /** The map's canvas with its legend, its buttons and the note that follows the pointer. */
  function mapPanel(data) {
    const canvas = element("canvas", {
      tabindex: "0",
      role: "img",
      "aria-label":
        "Map of the test studies by their embeddings. Arrow keys pan, plus and minus zoom, 0 " +
        "resets. Every study is also in the list of studies.",
    });
    const tip = element("div", { class: "cxr-tip", "aria-hidden": "true" });
    const buttons = element("div", { class: "cxr-zoom" });
    const panel = element(
      "section",
      { class: "cxr-map", "aria-label": "Map" },
      element("h2", {}, "Map"),
      element("div", { class: "cxr-canvas" }, canvas, tip, buttons),
      element(
        "p",
        { class: "cxr-note cxr-legend" },
        ...data.labels.map((_, label) => labelled(data, label)),
        element("span", {}, element("span", { class: "cxr-ring", "aria-hidden": "true" }), "query"),
        element("span", {}, "numbers: ranks of the results"),
      ),
      element(
        "p",
        { class: "cxr-note" },
        "t-SNE of the model’s fused vectors: near on the map is only roughly near in truth. " +
          "Click a point to make it the query; drag to move, and once clicked scroll to zoom.",
      ),
    );
    const showTip = (row, place) => {
      tip.hidden = row === null;
      canvas.style.cursor = row === null ? "grab" : "pointer";
      if (row === null) return;
      const { study, label } = data.studies[row];
      tip.textContent = `study ${study}, ${data.labels[label]}`;
      const right = place[0] > canvas.clientWidth / 2;
      tip.style.transform = `translate(${right ? "-100%" : "0"}, -130%)`;
      [tip.style.left, tip.style.top] = place.map((pixels) => `${pixels}px`);
    };
    const bind = (map) => {
      buttons.append(
        button("+", () => map.zoom(explorer.ZOOM), { "aria-label": "Zoom in" }),
        button("−", () => map.zoom(1 / explorer.ZOOM), { "aria-label": "Zoom out" }),
        button("Reset", () => map.reset(), { "aria-label": "Reset the map" }),
      );
    };
    showTip(null);
    return { panel, canvas, showTip, bind };
  }

  /** Whose reports these are, and what the images are. */
  function attribution(data) {
    const line = element("p", { class: "cxr-note cxr-attribution" }, data.attribution);
    if (data.licence) {
      line.append(" Licence: ", element("a", { href: data.licenceUrl }, data.licence), ".");
    }
    if (data.dataset === "phantom") {
      line.append(" A phantom is drawn by a program; it is not a radiograph.");
    }
    return line;
  }

  /** Build everything inside `root`; returns what fills it. */
  function skeleton(root, data, { change, pick, barred, most }) {
    const folder = root.dataset.root;
    const controls = settings(data, change, most);
    const query = radios("query", "Search with", [
      ["image", "image"],
      ["report", "report"],
      ["typed", "a report you type"],
    ]);
    for (const radio of query.buttons) {
      radio.addEventListener("change", () => change({ query: radio.value }));
    }
    query.buttons[2].disabled = Boolean(barred);
    const typed = typing(change);
    let sent = "";
    const list = new StudyList(data, folder, pick);
    const card = element("div", { class: "cxr-card" });
    const chosen = element("div", {}, card, ...list.parts);
    const message = element("p", { class: "cxr-note cxr-message", role: "status" });
    const warning = element("p", { class: "cxr-message", role: "status" });
    const map = mapPanel(data);
    const summary = element("div", { class: "cxr-summary", role: "status" });
    const results = element("ol", { class: "cxr-results", "aria-label": "Results, best first" });

    root.classList.add("cxr-explorer");
    root.replaceChildren(
      controls.form,
      warning,
      element(
        "div",
        { class: "cxr-columns" },
        element(
          "section",
          { class: "cxr-query", "aria-label": "Query" },
          element("h2", {}, "Query"),
          query.group,
          ...(barred ? [element("p", { class: "cxr-note" }, barred)] : []),
          typed.form,
          message,
          chosen,
        ),
        element(
          "section",
          { class: "cxr-found", "aria-label": "Results" },
          element("h2", {}, "Results"),
          summary,
          results,
        ),
        map.panel,
      ),
      attribution(data),
    );
    // The link that was followed is gone with the old results: go on at the new query.
    results.addEventListener("click", (event) => {
      if (!event.target.closest("a")) return;
      const toQuery = () => card.querySelector("h3").focus();
      window.addEventListener("hashchange", () => setTimeout(toQuery), { once: true });
    });

    return {
      canvas: map.canvas,
      showTip: map.showTip,
      bindMap: map.bind,
      say: (text) => (message.textContent = text),
      warn: (text) => (warning.textContent = text),
      reflect(state, row, explanation) {
        controls.reflect(state, explanation);
        for (const radio of query.buttons) radio.checked = radio.value === state.query;
        const own = state.query === "typed";
        typed.form.hidden = !own;
        chosen.hidden = own;
        message.textContent = "";
        if (state.text !== sent) typed.box.value = sent = state.text; // spares what is half typed
        card.replaceChildren(...queryCard(data, folder, row, state.query));
        list.choose(row);
      },
      showResults(items, announcement, facts) {
        results.replaceChildren(...items);
        summary.replaceChildren(
          ...(announcement ? [element("p", {}, `${announcement}.`)] : []),
          ...(facts.length ? [element("p", { class: "cxr-facts" }, `${facts.join(". ")}.`)] : []),
        );
      },
    };
  }

  Object.assign(explorer, { skeleton });
})();
