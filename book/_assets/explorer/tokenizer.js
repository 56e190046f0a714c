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
  const MOST_WORDS = 8; // as `cxr_mtl.models.reading` lists them, whose sentences are these
  const LONGEST_SHOWN = 30;
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

  /** A character as BERT's normaliser leaves it: without accents, in lower case; one may be many. */
  function normalise(character, lowercase) {
    if (DROPPED.test(character)) return [];
    if (!lowercase) return [character];
    // Code point by code point: a whole string would get Greek's final sigma.
    return Array.from(character.normalize("NFD").replace(/\p{Mn}/gu, ""), (sign) =>
      sign.toLowerCase(),
    );
  }

  /** The words of a text as BERT parts them, normalised, with their places in it. */
  function wordsOf(text, lowercase) {
    const words = [];
    let word = null;
    let end = 0;
    for (const character of text) {
      const start = end;
      end += character.length;
      for (const sign of normalise(character, lowercase)) {
        if (sign === " ") {
          word = null;
        } else if (IDEOGRAPH.test(character) || PUNCTUATION.test(sign)) {
          words.push({ plain: sign, start, end });
          word = null;
        } else {
          if (!word) words.push((word = { plain: "", start, end }));
          word.plain += sign;
          word.end = end;
        }
      }
    }
    return words;
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

  /**
   * A function that reads a text as the tower of the contract does.
   *
   * It gives the ids; how many `tokens` the whole text has, and how many were `read`; the `rest` from
   * the first word on that was not read to its end; and the `words` before it, as they were written,
   * each with its number of tokens, 0 where the vocabulary holds nothing of it.
   */
  function tokenizer(tower) {
    const ids = new Map(tower.vocabulary.map((piece, id) => [piece, id]));
    const { cls, sep, unk } = tower.special;

    /** The words of a cleaned text with their ids; a mark of the tokenizer's own is no word. */
    function* parts(text) {
      let offset = 0;
      for (const stretch of text.split(SPECIAL)) {
        if (SPECIAL.test(stretch) && ids.has(stretch)) {
          yield { ids: [ids.get(stretch)], known: false, start: offset, end: offset + stretch.length };
        } else {
          for (const { plain, start, end } of wordsOf(stretch, tower.lowercase)) {
            const found = pieces(plain, ids, unk);
            yield { ids: found, known: found[0] !== unk, start: offset + start, end: offset + end };
          }
        }
        offset += stretch.length;
      }
    }

    return (typed) => {
      const text = clean(typed);
      const room = tower.context - 2;
      const found = [];
      const words = [];
      let rest = "";
      for (const part of parts(text)) {
        found.push(...part.ids);
        if (found.length <= room) {
          const written = text.slice(part.start, part.end);
          words.push({ text: written, tokens: part.known ? part.ids.length : 0 });
        } else if (!rest) {
          rest = text.slice(part.start);
        }
      }
      const read = [cls, ...found.slice(0, room), sep];
      return { ids: read, read: read.length, tokens: found.length + 2, rest, words };
    };
  }

  const isWord = ({ text }) => /[\p{L}\p{N}]/u.test(text);
  const isInPieces = ({ text, tokens }) => tokens > 1 && /\p{L}/u.test(text);

  function shortened(text) {
    const characters = Array.from(text);
    if (characters.length <= LONGEST_SHOWN) return text;
    return `${characters.slice(0, LONGEST_SHOWN).join("").trimEnd()} …`;
  }

  function listed(words) {
    const distinct = new Map();
    for (const { text } of words) {
      if (!distinct.has(text.toLowerCase())) distinct.set(text.toLowerCase(), shortened(text));
    }
    const more = distinct.size - MOST_WORDS;
    const shown = [...distinct.values()].slice(0, MOST_WORDS).join(", ");
    return more > 0 ? `${shown} and ${more} more` : shown;
  }

  /** Why a text cannot be searched for, or "", and sentences on what of it was not read. */
  function judge({ read, tokens, rest, words: all }) {
    const words = all.filter(isWord);
    const unknown = all.filter((word) => !word.tokens);
    const known = words.filter((word) => word.tokens);
    if (!words.length) {
      return { refusal: "The text to search for holds no word: describe a finding.", notes: [] };
    }
    if (!known.length) {
      const refusal =
        `The model's vocabulary holds no word of the text (${listed(unknown)}): describe a ` +
        "finding in the language that the model was trained on.";
      return { refusal, notes: [] };
    }
    const notes = [];
    if (rest) {
      const from = `from “${shortened(rest)}” on`;
      notes.push(`Read ${read} of ${tokens} tokens: the rest, ${from}, was not read.`);
    }
    if (unknown.length) {
      notes.push(
        `Not in the model's vocabulary, so that nothing of it was read: ${listed(unknown)}.`,
      );
    }
    const split = words.filter(isInPieces);
    if (split.length) {
      const mind = " No word was read whole: what is found may mean nothing.";
      notes.push(
        `Not in the model's vocabulary as a word, read in pieces: ${listed(split)}.` +
          (known.every(isInPieces) ? mind : ""),
      );
    }
    return { refusal: "", notes };
  }

  Object.assign(explorer, { judge, tokenizer });
})();
