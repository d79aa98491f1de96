import { expect, test } from "vitest";
import { editYaml, type YamlEdit } from "./yaml-edits.ts";

const edit = (text: string, ...edits: YamlEdit[]) => editYaml(text, edits, "arm.yaml");

test.each<[why: string, before: string, change: YamlEdit, after: string]>([
  [
    "a value, beside its comment",
    "provider: podman               # of this computer\nimage:   'x'\n",
    { do: "set", path: ["provider"], value: "docker" },
    "provider: docker               # of this computer\nimage:   'x'\n",
  ],
  [
    "a value that is not there, at the end of a file of comments",
    "# all is commented\n\n# image: x",
    { do: "set", path: ["image"], value: "y" },
    "# all is commented\n\n# image: x\nimage: y\n",
  ],
  [
    "a value in a mapping that is not there",
    "image: x   # mine\n# end",
    { do: "set", path: ["env", "A"], value: "b" },
    "image: x   # mine\nenv:\n  A: b\n# end",
  ],
  ["a value in an empty file", "", { do: "set", path: ["env", "A"], value: "b" }, "env:\n  A: b\n"],
  [
    "a list that is not there",
    "image: x   # mine\n",
    { do: "add", path: ["terminate"], value: "./stop.sh" },
    "image: x   # mine\nterminate:\n  - ./stop.sh\n",
  ],
  [
    "an entry of a list whose marks are not indented",
    "init:\n# first\n- a   # one\n- b   # two\n# last\nimage: x\n",
    { do: "add", path: ["init"], value: "c" },
    "init:\n# first\n- a   # one\n- b   # two\n- c\n# last\nimage: x\n",
  ],
  [
    "an entry of a list in one line",
    "init: [a, b]   # in order\n",
    { do: "add", path: ["init"], value: "c, d" },
    'init: [a, b, "c, d"]   # in order\n',
  ],
  [
    "the first entry of an empty list",
    "init: []   # none\nimage: x\n",
    { do: "add", path: ["init"], value: "c" },
    "init:   # none\n  - c\nimage: x\n",
  ],
  [
    "a mapping in a list of mappings",
    "services:\n    -   name: A   # first\n        tap: true\nimage: x\n",
    { do: "add", path: ["services"], value: { name: "B", command: "x" } },
    "services:\n    -   name: A   # first\n        tap: true\n    - name: B\n      command: x\nimage: x\n",
  ],
  [
    "an entry after a text in several lines",
    "init:\n  - |\n    a\n    b\nimage: x\n",
    { do: "add", path: ["init"], value: "c" },
    "init:\n  - |\n    a\n    b\n  - c\nimage: x\n",
  ],
  ["an entry of a mapping in one line", "env: { A: b }\n", { do: "set", path: ["env", "C"], value: "d" }, "env: { A: b, C: d }\n"],
  [
    "a mapping without a value",
    "env:   # none\nimage: x\n",
    { do: "set", path: ["env", "C"], value: "1" },
    'env:   # none\n  C: "1"\nimage: x\n',
  ],
  [
    "the last entry that is removed",
    "init:   # before\n  # the arm\n  - a   # gone\nimage: x\n",
    { do: "remove", path: ["init", 0] },
    "init: []   # before\n  # the arm\nimage: x\n",
  ],
  ["an entry of several in one line that is removed", "init: [a, b, c]\n", { do: "remove", path: ["init", 1] }, "init: [a, c]\n"],
  ["the last of several in one line that is removed", "init: [a, b]\n", { do: "remove", path: ["init", 1] }, "init: [a]\n"],
  ["the only one in one line that is removed", "init: [a]\n", { do: "remove", path: ["init", 0] }, "init: []\n"],
  [
    "a list in brackets over several lines",
    "devices: [\n  /dev/a, # one\n  /dev/b # two\n]\n",
    { do: "add", path: ["devices"], value: "/dev/c" },
    "devices: [\n  /dev/a, # one\n  /dev/b, /dev/c # two\n]\n",
  ],
  [
    "line ends of Windows",
    "init:\r\n  - a\r\nimage: x\r\n",
    { do: "add", path: ["init"], value: "b" },
    "init:\r\n  - a\r\n  - b\r\nimage: x\r\n",
  ],
  ["the whole in braces", "{ image: x }\n", { do: "add", path: ["init"], value: "b" }, "{ image: x, init: [b] }\n"],
])("an edit changes nothing but what it is about: %s", (_why, before, change, after) => {
  expect(edit(before, change)).toBe(after);
});

test("what cannot be changed in place is written anew, with its comments", () => {
  const text = "# head\n? init\n: - a # one\n---\n".replace("---\n", "");
  const edited = edit(text, { do: "add", path: ["init"], value: "b" });
  expect(edited).toContain("# head");
  expect(edited).toContain("# one");
  expect(edited).toMatch(/- b$/m);
});

test("a change that does not fit what is there is refused, with file and field", () => {
  expect(() => edit("init: a\n", { do: "add", path: ["init"], value: "b" })).toThrow(/arm\.yaml: init is written in a way/);
  expect(() => edit("x: &x [a]\ninit: *x\n", { do: "add", path: ["init"], value: "b" })).toThrow(/arm\.yaml: init is written/);
  expect(() => edit("init: [a]\n", { do: "remove", path: ["init", 1] })).toThrow(/arm\.yaml: init\.1 is written/);
});
