/** The map of the test studies: a canvas to pan, zoom and pick from. */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});

  const PADDING = 24; // pixels between the outermost points and the edge
  const REACH = 12; // pixels within which a point counts as pointed at
  const STEP = 40; // pixels an arrow key pans
  const ZOOM = 1.4; // factor of one zoom step
  const MAX_SCALE = 40;
  const RADIUS = 3.6;
  const [RIGHTS, DOWNS] = [[9, -4, -20, 24], [-6, 14, 4, -18, 26]]; // places of ranks, in pixels
  const SIDES = RIGHTS.flatMap((right) => DOWNS.map((down) => [right, down]));
  const COLOURS = ["--cxr-normal", "--cxr-abnormal"]; // by label, named in explorer.css

  /** A mark round or three-cornered, so that labels differ by shape and not by colour alone. */
  function markPath(context, x, y, label, radius) {
    context.beginPath();
    if (label === 0) {
      context.arc(x, y, radius, 0, 2 * Math.PI);
      return;
    }
    const r = radius * 1.25;
    context.moveTo(x, y - r);
    context.lineTo(x + r * 0.95, y + r * 0.75);
    context.lineTo(x - r * 0.95, y + r * 0.75);
    context.closePath();
  }

  /** Where a rank may stand around its point without covering an earlier one, if anywhere. */
  function freePlace([x, y], taken) {
    const around = SIDES.map(([right, down]) => [x + right, y + down]);
    const covers = (a, b) => Math.abs(a[0] - b[0]) < 14 && Math.abs(a[1] - b[1]) < 11;
    return around.find((place) => !taken.some((other) => covers(place, other))) ?? around[0];
  }

  /** Points in the plane, one per study; calls back with the row that is clicked or hovered. */
  class StudyMap {
    constructor(canvas, labels, onPick, onHover) {
      Object.assign(this, { canvas, labels, onPick, onHover });
      this.points = [];
      this.query = null;
      this.neighbours = [];
      this.hovered = null;
      this.reset();
      canvas.addEventListener("pointerdown", (event) => this.#press(event));
      canvas.addEventListener("pointermove", (event) => this.#move(event));
      canvas.addEventListener("pointerup", (event) => this.#release(event));
      canvas.addEventListener("pointercancel", () => (this.drag = null));
      canvas.addEventListener("pointerleave", () => this.#hover(null));
      canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      canvas.addEventListener("keydown", (event) => this.#key(event));
      new ResizeObserver(() => this.draw()).observe(canvas);
      new MutationObserver(() => this.draw()).observe(document.documentElement, {
        attributeFilter: ["data-theme"],
      });
    }

    /** Show `points` ([x, y] per study), a query row or none, and its neighbours, nearest first. */
    show(points, query, neighbours) {
      Object.assign(this, { points, query, neighbours });
      this.draw();
    }

    /** The whole map again. */
    reset() {
      Object.assign(this, { scale: 1, pan: [0, 0] });
      this.#moved();
    }

    /** Larger or smaller by a factor, around a place of the canvas, or its middle. */
    zoom(factor, at = this.#middle()) {
      const scale = Math.min(Math.max(this.scale * factor, 1), MAX_SCALE);
      const ratio = scale / this.scale;
      const middle = this.#middle();
      this.pan = this.pan.map((pan, i) => (pan - at[i] + middle[i]) * ratio + at[i] - middle[i]);
      this.scale = scale;
      this.#moved();
    }

    #moved() {
      const limits = this.#middle().map((half) => half * (this.scale - 1));
      this.pan = this.pan.map((pan, i) => Math.min(Math.max(pan, -limits[i]), limits[i]));
      // A finger pans an enlarged map, and scrolls the page over a map that is whole.
      this.canvas.style.touchAction = this.scale > 1 ? "none" : "pan-y";
      this.draw();
    }

    #middle() {
      return [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    }

    /** The places of all points on the canvas, in CSS pixels. */
    places() {
      const middle = this.#middle();
      const [low, high] = [Math.min, Math.max].map((pick) =>
        [0, 1].map((axis) => pick(...this.points.map((point) => point[axis]))),
      );
      const unit = Math.min(
        ...[0, 1].map((axis) => (2 * (middle[axis] - PADDING)) / (high[axis] - low[axis] || 1)),
      );
      return this.points.map((point) =>
        [0, 1].map((axis) => {
          const centred = (point[axis] - (low[axis] + high[axis]) / 2) * (axis ? -1 : 1);
          return middle[axis] + this.pan[axis] + centred * unit * this.scale;
        }),
      );
    }

    /** Paint all points, and the query with its neighbours over them. */
    draw() {
      const { canvas } = this;
      const ratio = window.devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (!this.points.length || !width) return;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      const style = getComputedStyle(canvas);
      const [ink, paper] = [style.color, style.backgroundColor];
      const colours = COLOURS.map((name) => style.getPropertyValue(name));
      const places = this.places();
      const near = new Set([...this.neighbours, this.query]);
      places.forEach(([x, y], row) => {
        context.globalAlpha = near.has(row) ? 1 : 0.7;
        markPath(context, x, y, this.labels[row], RADIUS);
        context.fillStyle = colours[this.labels[row]];
        context.fill();
      });
      context.globalAlpha = 1;
      this.#drawNeighbours(context, places, ink, paper);
    }

    #drawNeighbours(context, places, ink, paper) {
      context.strokeStyle = context.fillStyle = ink;
      const query = this.query === null ? null : places[this.query];
      context.lineWidth = 1;
      context.globalAlpha = 0.45;
      for (const row of query ? this.neighbours : []) {
        context.beginPath();
        context.moveTo(...query);
        context.lineTo(...places[row]);
        context.stroke();
      }
      context.globalAlpha = 1;
      context.font = `600 11px ${getComputedStyle(this.canvas).fontFamily}`;
      const ranks = [];
      this.neighbours.forEach((row, i) => {
        context.lineWidth = 1.4;
        context.beginPath();
        context.arc(...places[row], RADIUS + 3, 0, 2 * Math.PI);
        context.stroke();
        ranks.push(freePlace(places[row], ranks));
        context.lineWidth = 3;
        context.strokeStyle = paper;
        context.strokeText(i + 1, ...ranks[i]);
        context.fillText(i + 1, ...ranks[i]);
        context.strokeStyle = ink;
      });
      for (const [place, radius] of [[query, 9], [places[this.hovered], 6]]) {
        if (!place) continue;
        context.lineWidth = 2.5;
        context.beginPath();
        context.arc(...place, radius, 0, 2 * Math.PI);
        context.stroke();
      }
    }

    /** The row of the point nearest to a place of the canvas, or null when none is near. */
    rowAt([x, y]) {
      let nearest = null;
      let least = REACH;
      this.places().forEach((place, row) => {
        const distance = Math.hypot(place[0] - x, place[1] - y);
        if (distance < least) [nearest, least] = [row, distance];
      });
      return nearest;
    }

    #hover(row) {
      if (row === this.hovered) return;
      this.hovered = row;
      this.draw();
      this.onHover(row, row === null ? null : this.places()[row]);
    }

    #press(event) {
      this.canvas.setPointerCapture(event.pointerId);
      this.drag = { from: [event.offsetX, event.offsetY], pan: this.pan, moved: false };
    }

    #move(event) {
      const at = [event.offsetX, event.offsetY];
      if (!this.drag) {
        this.#hover(this.rowAt(at));
        return;
      }
      const by = at.map((value, i) => value - this.drag.from[i]);
      this.drag.moved ||= Math.hypot(...by) > 4;
      if (!this.drag.moved) return;
      this.#hover(null);
      this.pan = this.drag.pan.map((pan, i) => pan + by[i]);
      this.#moved();
    }

    #release(event) {
      const row = this.drag && !this.drag.moved ? this.rowAt([event.offsetX, event.offsetY]) : null;
      this.drag = null;
      if (row !== null) this.onPick(row);
    }

    #wheel(event) {
      // Whoever scrolls past the map keeps scrolling: it takes the wheel once it has the focus.
      if (document.activeElement !== this.canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, [event.offsetX, event.offsetY]);
    }

    #key(event) {
      const pans = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (pans[event.key] && this.scale > 1) {
        this.pan = this.pan.map((pan, i) => pan + pans[event.key][i] * STEP);
        this.#moved();
      } else if ("+=".includes(event.key)) this.zoom(ZOOM);
      else if (event.key === "-") this.zoom(1 / ZOOM);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    }
  }

  Object.assign(explorer, { StudyMap, ZOOM });
})();
