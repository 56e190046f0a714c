/**
 * The text tower's tokenizer in the page: open_clip's cleaning, then BERT's word pieces.
 *
 * It follows `open_clip.tokenizer.HFTokenizer` over the `BertTokenizerFast` of the model, and works
 * on code points throughout. ftfy's repair of wrongly decoded text is left out.
 */
(() => {
  "use strict";
  const explorer = (window.CxrExplorer ??= {});

  const LONGEST_WORD = 100; // code points; a longer word is unknown
  // What ftfy takes apart or narrows; compatibility normalisation of the single character does it.
  const LIGATURES_AND_WIDTHS =
    /[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\u3000\ufb00-\ufb06\uff01-\uffef]/gu;
  const SINGLE_QUOTES = /[\u02bc\u2018-\u201b]/gu;
  const DOUBLE_QUOTES = /[\u201c-\u201f]/gu;
  const SPECIAL = /(\[(?:PAD|UNK|CLS|SEP|MASK)\])/u;
  const DROPPED = /[\ufffd\p{C}]/u;
  const IDEOGRAPH = new RegExp(
    "[\\u4e00-\\u9fff\\u3400-\\u4dbf\\u{20000}-\\u{2a6df}\\u{2a700}-\\u{2b73f}" +
      "\\u{2b740}-\\u{2b81f}\\u{2b920}-\\u{2ceaf}\\uf900-\\ufaff\\u{2f800}-\\u{2fa1f}]",
    "u",
  );
  const PUNCTUATION = /([!-/:-@[-`{-~\p{P}])/u;

  /** Character references such as `&lt;` and `&#233;` replaced, in a document that runs nothing. */
  function unescaped(text) {
    const markup = `<textarea>\n${text.replaceAll("<", "&lt;")}</textarea>`;
    return new DOMParser().parseFromString(markup, "text/html").body.textContent;
  }

  /** The text as open_clip cleans it before it is tokenized. */
  function clean(text) {
    const plain = text
      .replace(LIGATURES_AND_WIDTHS, (character) => character.normalize("NFKC"))
      .replace(SINGLE_QUOTES, "'")
      .replace(DOUBLE_QUOTES, '"')
      .normalize("NFC");
    return unescaped(unescaped(plain)).replace(/\p{White_Space}+/gu, " ").trim();
  }

  /** BERT's normaliser: no control characters, ideographs apart, no accents, lower case. */
  function normalise(text, lowercase) {
    const kept = Array.from(text, (character) => {
      if (DROPPED.test(character)) return "";
      return IDEOGRAPH.test(character) ? ` ${character} ` : character;
    }).join("");
    if (!lowercase) return kept;
    // Code point by code point: a whole string would get Greek's final sigma.
    return Array.from(kept.normalize("NFD").replace(/\p{Mn}/gu, ""), (character) =>
      character.toLowerCase(),
    ).join("");
  }

  /** The ids of one word's pieces, the longest first; one unknown id where a part has none. */
  function pieces(word, ids, unknown) {
    const characters = Array.from(word);
    if (characters.length > LONGEST_WORD) return [unknown];
    const found = [];
    for (let start = 0, end; start < characters.length; start = end) {
      const piece = () => (start ? "##" : "") + characters.slice(start, end).join("");
      end = characters.length;
      while (end > start && !ids.has(piece())) end -= 1;
      if (end === start) return [unknown];
      found.push(ids.get(piece()));
    }
    return found;
  }

  /** A function that encodes a text as the tower of the contract does: ids, unknown words, cut. */
  function tokenizer(tower) {
    const ids = new Map(tower.vocabulary.map((piece, id) => [piece, id]));
    const { cls, sep, unk } = tower.special;
    return (text) => {
      const found = [];
      const unknown = [];
      for (const stretch of clean(text).split(SPECIAL)) {
        if (SPECIAL.test(stretch) && ids.has(stretch)) {
          found.push(ids.get(stretch));
          continue;
        }
        const stretches = normalise(stretch, tower.lowercase).split(" ");
        for (const word of stretches.flatMap((part) => part.split(PUNCTUATION)).filter(Boolean)) {
          const wordIds = pieces(word, ids, unk);
          if (wordIds[0] === unk) unknown.push(word);
          found.push(...wordIds);
        }
      }
      const room = tower.context - 2;
      return { ids: [cls, ...found.slice(0, room), sep], unknown, cut: found.length > room };
    };
  }

  Object.assign(explorer, { tokenizer });
})();
