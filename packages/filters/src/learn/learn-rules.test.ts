import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { learnRules } from "./learn-rules.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-learn-"));
  file = join(folder, "decisions.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function learn(messages: readonly unknown[], changes: Record<string, unknown> = {}): Promise<string> {
  const decision = {
    at: "2026-01-01T00:00:00.000Z",
    direction: "in",
    decision: "block",
    mode: "shadow",
    rule: "default",
    summary: "",
    ...changes,
  };
  await writeFile(file, messages.map((message) => `${JSON.stringify({ ...decision, message })}\n`).join(""));
  return learnRules(file);
}

const get = (path: string, query = {}) => ({ method: "GET", path, query });
const drive = (body: unknown) => ({ method: "POST", path: "/api/drive", query: {}, body });

describe("from requests", () => {
  test("there is a rule for each method and path, with the ranges and fields that were seen", async () => {
    expect(
      await learn([
        get("/api/pose"),
        drive({ speed: 3, mode: "slow" }),
        drive({ speed: -4, mode: "slow", note: "x" }),
        get("/api/rgb", { Width: "640" }),
        get("/api/rgb", { Width: "800", raw: "true" }),
      ]),
    ).toBe(`# Proposed by \`filter learn\` from what passed. Read each rule before you use it: ranges are those that were seen, and what
# was not seen is blocked.
default: block
rules:
  # 1 message
  - allow: GET /api/pose
    query: {}
  # 2 messages
  - allow: GET /api/rgb
    query:
      Width:
        type: integer
        minimum: 640
        maximum: 800
      raw:
        type: string
        enum:
          - "true"
    query_required:
      - Width
  # 2 messages
  - allow: POST /api/drive
    query: {}
    body:
      type: object
      additionalProperties: false
      required:
        - speed
        - mode
      properties:
        speed:
          type: integer
          minimum: -4
          maximum: 3
        mode:
          type: string
          enum:
            - slow
        note:
          type: string
          enum:
            - x
`);
  });

  test("a part of a path becomes a {name} where three values differ, and not for two", async () => {
    expect(await learn([get("/joints/1"), get("/joints/2")])).toContain("allow: GET /joints/2\n");
    const text = await learn([get("/joints/1"), get("/joints/7"), get("/joints/2"), get("/joints")]);
    expect(text).toContain(
      "  - allow: GET /joints/{name}\n    path:\n      name:\n        type: integer\n        minimum: 1\n        maximum: 7\n",
    );
    expect(text).not.toContain("GET /joints/1");
    expect(text.indexOf("allow: GET /joints\n")).toBeLessThan(text.indexOf("{name}"));
  });

  test("paths whose messages have different forms are not thrown together", async () => {
    const post = (path: string, body: unknown) => ({ method: "POST", path, query: {}, body });
    expect(await learn([post("/api/drive", { speed: 1 }), post("/api/head", { pitch: 1 }), post("/api/led", { red: 1 })])).not.toContain(
      "{name",
    );
  });
});

test("from calls of procedures: a rule for each, with its program as it was and the values that were seen", async () => {
  const procedure = { allow: "POST /joints/{joint}", run: ["./turn.sh", "--", "{angle}"] };
  const call = (joint: number, angle: number) => ({ method: "POST", path: `/joints/${joint}`, query: {}, body: { angle }, procedure });
  expect(await learn([call(1, -5), call(3, 20)]))
    .toBe(`# Proposed by \`filter learn\` from what passed. Read each rule before you use it: ranges are those that were seen, and what
# was not seen is blocked.
# \`timeout\`, \`at_once\` and the like are still to be copied from the rules in force.
rules:
  # 2 messages
  - allow: POST /joints/{joint}
    run:
      - ./turn.sh
      - --
      - "{angle}"
    path:
      joint:
        type: integer
        minimum: 1
        maximum: 3
    query: {}
    body:
      type: object
      additionalProperties: false
      required:
        - angle
      properties:
        angle:
          type: integer
          minimum: -5
          maximum: 20
`);
});

describe("from lines", () => {
  test("numbers that differ become named parts with a range, but not the number of the command", async () => {
    const lines = ["G1 X1 F100", "G1 X-2.5 F100", "G1 X30 F100", "G28", "?", "\x18"].map((line) => ({ line }));
    expect(await learn(lines)).toContain(`rules:
  # 1 message
  - allow: G28
  # 1 message
  - allow: \\?
  # 1 message
  - allow: \\x18
  # 3 messages
  - allow: G1 X(?<x>[+-]?(?:\\d+\\.?\\d*|\\.\\d+)) F100
    groups:
      x:
        type: number
        minimum: -2.5
        maximum: 30
`);
  });
});

describe("what can't be learnt from", () => {
  test("messages that were refused are left out, and said to be", async () => {
    await expect(learn([get("/a")], { mode: "enforce" })).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining("has no message that passed"),
    });
    expect(await learn([get("/a"), undefined])).toContain("# Left out: 1 that were refused, or could not be read.\n");
  });

  test("a file that is none of decisions is named with its line; a last line that is torn is not missed", async () => {
    await writeFile(file, "rules: []\nrules: []\n");
    await expect(learnRules(file)).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining("decisions.jsonl:1: expected a decision"),
    });
    await expect(learnRules(join(folder, "none"))).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining("cannot read"),
    });
    await learn([get("/a")]);
    await writeFile(file, '{"at":"2026', { flag: "a" });
    expect(await learnRules(file)).toContain("GET /a");
  });

  test("two kinds of messages in one file", async () => {
    await expect(learn([get("/a"), { line: "G1" }])).rejects.toMatchObject({ code: "bad_input" });
  });
});
