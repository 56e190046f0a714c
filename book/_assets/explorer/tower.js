/** The fine-tuned model's text tower, run in the page by onnxruntime-web. */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});

  /** Load a classic script when it is wanted: from disk, scripts load and fetch does not. */
  function loadScript(url) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${url} could not be read: build the book again`));
      document.head.append(script);
    });
  }

  /** The bytes that gzip and base64 packed, in parts that follow one another. */
  async function unpacked(parts) {
    const packed = new Blob(parts.map(explorer.bytesOf)).stream();
    const plain = packed.pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(plain).arrayBuffer());
  }

  /**
   * Load runtime and tower from `folder`: a function from token ids to an embedding.
   *
   * `progress` is told which share of the files has come, from 0 to 1.
   */
  async function openTower(folder, tower, progress) {
    const names = ["ort.wasm.min.js", "runtime.js", ...tower.files];
    const parts = [];
    for (const [position, name] of names.entries()) {
      await loadScript(folder + name);
      if (tower.files.includes(name)) parts.push(window.CXR_TEXT_TOWER);
      progress((position + 1) / names.length);
    }
    delete window.CXR_TEXT_TOWER;
    const { ort, CXR_ORT: runtime } = window;
    const glue = new Blob([runtime.glue], { type: "text/javascript" });
    ort.env.wasm.numThreads = 1; // threads need headers that a page on disk cannot send
    ort.env.wasm.wasmBinary = await unpacked([runtime.wasm]);
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
    const session = await ort.InferenceSession.create(await unpacked(parts));
    return async (ids) => {
      const row = (values) =>
        new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
      const mask = ids.map((id) => Number(id !== tower.special.pad));
      const [embedding] = Object.values(await session.run({ ids: row(ids), mask: row(mask) }));
      return embedding.data;
    };
  }

  Object.assign(explorer, { openTower });
})();
