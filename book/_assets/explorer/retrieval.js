/** Exact search over the embeddings of the test studies, by inner product. */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});

  const TIED = 1e-6; // float32 embeddings of one text differ by less

  /** The bytes of a base64 string. */
  function bytesOf(base64) {
    const characters = atob(base64);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
    return bytes;
  }

  /** Rows of `size` float32 values, little-endian, from base64. */
  function rowsOf(base64, size) {
    const values = new Float32Array(bytesOf(base64).buffer);
    return Array.from({ length: values.length / size }, (_, row) =>
      values.subarray(row * size, (row + 1) * size),
    );
  }

  /** The inner product of two vectors of one length. */
  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
    return sum;
  }

  /** A vector divided by its L2 norm, in double precision. */
  function normalised(vector) {
    const norm = Math.sqrt(dot(vector, vector));
    return Float64Array.from(vector, (value) => value / norm);
  }

  /** The fused vector of a study, normalise((v + t) / 2), as in the paper's Algorithm 2. */
  function fused(image, text) {
    const [v, t] = [normalised(image), normalised(text)];
    return normalised(v.map((value, i) => (value + t[i]) / 2));
  }

  /** The rows a model of the bundle offers as queries and as items, by their kind. */
  function openModel(model) {
    const image = rowsOf(model.image, model.size);
    const report = rowsOf(model.text, model.size);
    return { image, report, fused: image.map((vector, row) => fused(vector, report[row])) };
  }

  /** What a protocol searches for a query of a kind: the other kind, the same, or fused vectors. */
  function itemKind(protocol, kind) {
    if (protocol === "fused") return "fused";
    const other = kind === "image" ? "report" : "image";
    return protocol === "cross_modal" ? other : kind;
  }

  /** Every item with its score, best first, equal scores in the order of the studies. */
  function ranking(query, items, leftOut = null) {
    return items
      .map((item, row) => ({ row, score: dot(query, item) }))
      .filter(({ row }) => row !== leftOut)
      .sort((a, b) => b.score - a.score || a.row - b.row);
  }

  /** The rank of a row from 1, and how many other items share its score; null if it is left out. */
  function rankOf(row, ranked) {
    const place = ranked.findIndex((item) => item.row === row);
    if (place < 0) return null;
    const tied = ranked.filter((item) => Math.abs(item.score - ranked[place].score) < TIED);
    return { rank: place + 1, tied: tied.length - 1 };
  }

  /** The median, over all queries, of the rank of the item in the query's own row. */
  function medianRank(queries, items) {
    const ranks = queries.map((query, row) => {
      const own = dot(query, items[row]);
      const higher = items.filter((item, other) => other !== row && dot(query, item) > own + TIED);
      return higher.length + 1;
    });
    ranks.sort((a, b) => a - b);
    const middle = (ranks.length - 1) / 2;
    return (ranks[Math.floor(middle)] + ranks[Math.ceil(middle)]) / 2;
  }

  Object.assign(explorer, { bytesOf, openModel, itemKind, medianRank, ranking, rankOf });
})();
