/** The Explorer: state in the URL's fragment, every view drawn from it. */
(() => {
  "use strict";
  const explorer = window.CxrExplorer;

  const QUERIES = ["image", "report", "typed"];
  const PROTOCOLS = ["cross_modal", "fused", "within"];
  const MOST = 20;
  const USUAL = 10;
  const LONGEST_TEXT = 100_000; // as `cxr_mtl.models.tokenizers` has it
  const ITEMS = { image: "images", report: "reports", fused: "fused vectors" };
  const EXPLAINED = {
    cross_modal: (items) => `Only ${items} are searched; nothing of the query is among them.`,
    fused: () =>
      "The paper's protocol: each item is half image and half report of a study, " +
      "so a study's query is half of its own target.",
    within: (items) => `Only ${items} are searched, the query's own left out.`,
  };

  /** The state a fragment describes, and what of it this edition does not have. */
  function readState(fragment, data) {
    const given = new URLSearchParams(fragment.slice(1));
    const allowed = {
      study: data.studies.map(({ study }) => study),
      query: QUERIES,
      model: data.models.map(({ key }) => key),
      protocol: PROTOCOLS,
      k: Array.from({ length: MOST }, (_, i) => String(i + 1)),
    };
    const state = { text: given.get("text") ?? "" };
    const refused = [];
    for (const [name, values] of Object.entries(allowed)) {
      const value = given.get(name);
      if (value !== null && !values.includes(value)) refused.push(`${name} ${value}`);
      state[name] = values.includes(value) ? value : name === "k" ? String(USUAL) : values[0];
    }
    if (state.query === "typed" && state.protocol === "within") state.protocol = PROTOCOLS[0];
    return { state, refused };
  }

  /** The fragment that describes a state. */
  function fragmentOf(state) {
    const { text, ...rest } = state;
    return `#${new URLSearchParams(text ? { ...rest, text } : rest)}`;
  }

  /** Why a report cannot be typed in this edition, or an empty text when it can. */
  function typingBarred(root, data) {
    if (!data.textTower) return "Typing is off: this edition's text tower is too large for a page.";
    if (root.dataset.runtime !== "present") {
      return "Typing is off: the book was built without npm, which brings the model's runtime.";
    }
    return "";
  }

  /** Build the page inside `root` and keep it in step with the fragment. */
  function start(root, data) {
    const folder = root.dataset.root;
    const barred = typingBarred(root, data);
    const encode = data.textTower && explorer.tokenizer(data.textTower);
    const opened = new Map();
    let state = readState(location.hash, data).state;
    let tower = null;
    let turn = 0;

    const change = (changes) => {
      const length = changes.text?.length ?? 0;
      if (length > LONGEST_TEXT) {
        // Browsers leave the page as it is where its address would be longer than they allow.
        parts.showResults([], "", []);
        parts.say(
          `A text of ${length.toLocaleString("en")} characters is longer than the ` +
            `${LONGEST_TEXT.toLocaleString("en")} that are read: give the report alone.`,
        );
        return;
      }
      const next = fragmentOf({ ...state, ...changes });
      if (next === location.hash) render();
      else location.hash = next;
    };
    const picked = (row) => ({
      study: data.studies[row].study,
      query: state.query === "typed" ? "image" : state.query,
    });
    const pick = (row) => change(picked(row));
    const vectorsOf = (key) => {
      if (!opened.has(key)) {
        opened.set(key, explorer.openModel(data.models.find((model) => model.key === key)));
      }
      return opened.get(key);
    };

    const parts = explorer.skeleton(root, data, { change, pick, barred, most: MOST });
    const labels = data.studies.map(({ label }) => label);
    const map = new explorer.StudyMap(parts.canvas, labels, pick, parts.showTip);
    parts.bindMap(map);

    /** The vector of the typed report, if it can be had, and a note to the reader. */
    async function typedQuery() {
      if (barred) return { note: barred };
      if (!state.text.trim()) return { note: "Type a report, then press Retrieve." };
      const { model } = data.textTower;
      if (state.model !== model) {
        const { name } = data.models.find(({ key }) => key === model);
        return { note: `Only the model ${name} reads typed reports here: choose it above.` };
      }
      const reading = encode(state.text);
      const { refusal, notes } = explorer.judge(reading);
      if (refusal) return { note: refusal };
      const loading = (share) =>
        parts.say(`Loading the model, once per visit: ${Math.round(100 * share)} % …`);
      if (!tower) loading(0);
      tower ??= explorer.openTower(folder, data.textTower, loading);
      try {
        const vector = await (await tower)(reading.ids);
        return { vector, note: notes.join(" ") };
      } catch (error) {
        tower = null;
        return { note: `The report could not be read: ${error.message}` };
      }
    }

    /** Draw what `state` asks for. */
    async function render() {
      turn += 1;
      const mine = turn;
      const row = data.studies.findIndex(({ study }) => study === state.study);
      const typed = state.query === "typed";
      const kind = explorer.itemKind(state.protocol, typed ? "report" : state.query);
      parts.reflect(state, row, EXPLAINED[state.protocol](ITEMS[kind]));
      const vectors = vectorsOf(state.model);
      const points = data.models.find(({ key }) => key === state.model).map;
      let query = vectors[state.query]?.[row];
      if (typed) {
        parts.showResults([], "", []); // those of the query before
        map.show(points, null, []);
        const { vector, note } = await typedQuery();
        if (mine !== turn) return; // the reader has moved on
        parts.say(note);
        if (!vector) return;
        query = vector;
      }
      const leftOut = state.protocol === "within" ? row : null;
      const ranked = explorer.ranking(query, vectors[kind], leftOut);
      const top = ranked.slice(0, Number(state.k));
      const verdict = (found) => {
        if (typed) return null;
        if (found === row) return "own";
        return data.studies[found].label === data.studies[row].label ? "same" : "other";
      };
      parts.showResults(
        top.map((item, i) => {
          const link = fragmentOf({ ...state, ...picked(item.row) });
          return explorer.result(data, folder, item, i + 1, verdict(item.row), link);
        }),
        ...summary(typed ? null : row, ranked, top, ITEMS[kind]),
      );
      map.show(points, typed ? null : row, top.map((item) => item.row));
    }

    const typical = {};

    /** The median rank of the own study over all queries like this one; worked out once. */
    function typicalRank() {
      const vectors = vectorsOf(state.model);
      const kind = explorer.itemKind(state.protocol, state.query);
      const key = [state.model, state.protocol, state.query].join(" ");
      typical[key] ??= explorer.medianRank(vectors[state.query], vectors[kind]);
      return typical[key];
    }

    /** What was found: the announcement, and the facts of own rank and precision. */
    function summary(row, ranked, top, items) {
      const among = `among ${ranked.length} ${items}`;
      const counted = `${top.length} result${top.length > 1 ? "s" : ""}`;
      const count = (label) => top.filter((item) => data.studies[item.row].label === label).length;
      if (row === null) {
        const labels = data.labels.map((name, label) => `${count(label)} ${name}`);
        return [`${counted} for your report ${among}`, [`Labels: ${labels.join(", ")}`]];
      }
      const { study, label } = data.studies[row];
      const own = explorer.rankOf(row, ranked);
      const ties = own?.tied ? `, level with ${own.tied} other${own.tied > 1 ? "s" : ""}` : "";
      return [
        `${counted} for the ${state.query} of study ${study} ${among}`,
        [
          own ? `Own study: rank ${own.rank} of ${ranked.length}${ties}` : "Own study: left out",
          ...(own ? [`Median over all queries: ${typicalRank()}`] : []),
          `Precision among the ${top.length}: ${(count(label) / top.length).toFixed(3)} ` +
            `(${count(label)} ${data.labels[label]})`,
        ],
      ];
    }

    /** Take over a fragment that is ours; a link to a heading of the page leaves the view alone. */
    function follow(event) {
      const names = [...new URLSearchParams(location.hash.slice(1)).keys()];
      if (event && location.hash && !names.some((name) => name in state)) return;
      const { state: found, refused } = readState(location.hash, data);
      state = found;
      const lacking = `The link asks for ${refused.join(", ")}: not in this edition.`;
      parts.warn(refused.length ? lacking : "");
      render();
    }

    window.addEventListener("hashchange", follow);
    follow();
    root.dataset.ready = Math.round(performance.now());
  }

  const root = document.getElementById("cxr-explorer");
  if (window.CXR_EXPLORER) start(root, window.CXR_EXPLORER);
  else root.textContent = "The Explorer's data could not be read: build the book again.";
})();
