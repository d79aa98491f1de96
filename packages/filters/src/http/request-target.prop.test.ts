import fc from "fast-check";
import { expect, test } from "vitest";
import { readTarget } from "./request-target.ts";

const target = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2F",
        "%5C",
        "\\",
        ";x",
        "?",
        "#",
        "%25",
        "%00",
        "a",
        "A",
        "%C3%A9",
        "%c3%a9",
        "é",
        "%",
        "@",
        ":",
        "reboot",
      ),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => `/${pieces.join("")}`);

test("a path that is taken is the one that every reader makes of it", () => {
  fc.assert(
    fc.property(target, (text) => {
      const read = readTarget(text);
      if ("problem" in read) return;
      const mark = text.indexOf("?");
      const path = mark < 0 ? text : text.slice(0, mark);
      const url = new URL(`http://robot${text}`); // WHATWG URL removes dots, turns backslashes, cuts fragments
      expect(url.pathname).toBe(path);
      expect(decodeURIComponent(path).slice(1).split("/")).toEqual(read.path); // decoded first, then cut: the same
    }),
  );
});

test("an ordinary path is taken as it is meant", () => {
  const segment = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }).filter((text) => !/^\.+$|[/\\;?#%\p{Cc}\p{Cs}]/u.test(text));
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
      expect(readTarget(`/${segments.map(encodeURIComponent).join("/")}`)).toEqual({ path: segments });
    }),
  );
});
