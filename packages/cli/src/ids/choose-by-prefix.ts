import { AppError } from "@hardshare/protocol";

/** Something that can be meant by the beginning of one of its ids. */
export interface Choice {
  ids: readonly string[];
}

export interface ChoosingWords {
  /** What is chosen, such as `instance`. */
  noun: string;
  /** What to do when there is none to choose from. */
  whenNone: string;
}

const MAX_NAMED = 6;

/**
 * The one that `text` means: a whole id or the beginning of one, or, without a text, the only one there is.
 * @throws AppError `not_found` when there is none, `bad_input` when several are meant
 */
export function chooseByPrefix<T extends Choice>(text: string | undefined, choices: readonly T[], words: ChoosingWords): T {
  const [first, ...others] = choices;
  if (text === undefined) {
    if (first === undefined) throw new AppError("not_found", `there is no ${words.noun} to choose: ${words.whenNone}`);
    if (others.length === 0) return first;
    throw new AppError("bad_input", `there are ${choices.length} ${words.noun}s, so say which one: ${nameSome(choices)}`);
  }
  const wanted = text.toLowerCase();
  const matching = choices.filter((choice) => choice.ids.some((id) => id.toLowerCase().startsWith(wanted)));
  const exact = matching.filter((choice) => choice.ids.some((id) => id.toLowerCase() === wanted));
  const [match, ...more] = exact.length > 0 ? exact : matching;
  if (match === undefined || wanted === "") {
    throw new AppError("not_found", `no ${words.noun} has an id that begins with "${text}": ${words.whenNone}`, {
      details: { prefix: text },
    });
  }
  if (more.length > 0) {
    throw new AppError("bad_input", `"${text}" means more than one ${words.noun}: write more of the id of ${nameSome([match, ...more])}`, {
      details: { prefix: text, matches: [match, ...more].map((choice) => choice.ids[0]) },
    });
  }
  return match;
}

function nameSome(choices: readonly Choice[]): string {
  const named = choices.slice(0, MAX_NAMED).map((choice) => choice.ids[0]);
  return named.join(", ") + (choices.length > MAX_NAMED ? `, and ${choices.length - MAX_NAMED} more` : "");
}
