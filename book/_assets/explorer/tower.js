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

  /** The bytes that gzip and base64 packed. */
  async function unpacked(base64) {
    const packed = new Blob([explorer.bytesOf(base64)]).stream();
    const plain = packed.pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(plain).arrayBuffer());
  }

  /** Load runtime and tower from `folder`: a function from token ids to an embedding. */
  async function openTower(folder, tower) {
    const names = ["ort.wasm.min.js", "runtime.js", tower.file];
    await Promise.all(names.map((name) => loadScript(folder + name)));
    const { ort, CXR_ORT: runtime } = window;
    const glue = new Blob([runtime.glue], { type: "text/javascript" });
    ort.env.wasm.numThreads = 1; // threads need headers that a page on disk cannot send
    ort.env.wasm.wasmBinary = await unpacked(runtime.wasm);
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
    const session = await ort.InferenceSession.create(await unpacked(window.CXR_TEXT_TOWER));
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
