import { fileURLToPath } from "node:url";
import { AppError } from "@hardshare/protocol";
import { describe, expect, test } from "vitest";
import { matchHttp, parseHttpRules } from "./http-rules.ts";
import { makeLimits } from "../testing/filter-world.ts";
import { readRules } from "./live-rules.ts";

function judge(text: string, method: string, path: string): string {
  return matchHttp(parseHttpRules(text, "test.yaml", makeLimits()), method, path.slice(1).split("/")).decision;
}

function problemOf(text: string): string {
  try {
    parseHttpRules(text, "robot.rules.yaml", makeLimits());
  } catch (error) {
    expect((error as AppError).code).toBe("config_invalid");
    return (error as AppError).message;
  }
  throw new Error("the file was accepted");
}

describe("judging", () => {
  test("an empty file blocks everything", () => {
    expect(judge("", "GET", "/")).toBe("block");
  });

  test("the first rule that matches decides", () => {
    const text = "rules:\n  - allow: POST /a/b\n  - block: POST /a/*\n  - allow: '* /*'\n";
    expect(judge(text, "POST", "/a/b")).toBe("allow");
    expect(judge(text, "POST", "/a/c")).toBe("block");
    expect(judge(text, "GET", "/a/c")).toBe("allow");
  });

  test("a parameter stands for exactly one segment that is not empty", () => {
    const text = "rules: [{ allow: 'GET /arms/{arm}/state' }]";
    expect(judge(text, "GET", "/arms/left/state")).toBe("allow");
    expect(judge(text, "GET", "/arms/left/upper/state")).toBe("block");
    expect(judge(text, "GET", "/arms//state")).toBe("block");
    expect(judge(text, "GET", "/arms/state")).toBe("block");
  });

  test("a final /* stands for one or more segments", () => {
    const text = "rules: [{ allow: 'GET /api/*' }]";
    expect(judge(text, "GET", "/api/a")).toBe("allow");
    expect(judge(text, "GET", "/api/a/b/c")).toBe("allow");
    expect(judge(text, "GET", "/api")).toBe("block");
    expect(judge(text, "GET", "/apis/a")).toBe("block");
    expect(judge("rules: [{ allow: 'GET /*' }]", "GET", "/")).toBe("allow");
  });

  test("an allow matches only the very spelling of path and method", () => {
    const text = "rules: [{ allow: GET /api/sensors }]";
    for (const path of ["/API/sensors", "/api/sensors/", "/api/sensors;x=1"]) expect(judge(text, "GET", path)).toBe("block");
    expect(judge(text, "HEAD", "/api/sensors")).toBe("block");
  });

  test("a block also matches what a device could take for the same path", () => {
    const text = "default: allow\nrules: [{ block: POST /api/reboot }, { block: GET /act }]";
    const spellings = [
      "/API/Reboot",
      "/api/reboot/",
      "/api;v=1/reboot;now",
      "/api/reboot/;x",
      "/api/reboot.",
      "/api./reboot .",
      "/api/reboot\u00a0",
    ];
    for (const path of ["/api/reboot", ...spellings]) {
      expect(judge(text, "POST", path)).toBe("block");
    }
    expect(judge(text, "HEAD", "/act")).toBe("block");
    expect(judge(text, "POST", "/api/rebooted")).toBe("allow");
    expect(judge(text, "GET", "/api/reboot")).toBe("allow");
  });

  test("templates are compared percent-decoded", () => {
    const text = "default: allow\nrules: [{ block: 'POST /caf%C3%A9/a%20b' }]";
    expect(judge(text, "POST", "/café/a b")).toBe("block");
  });

  test("a block gives the owner's reason", () => {
    const rules = parseHttpRules("rules: [{ block: POST /x, because: only the owner }]", "f", makeLimits());
    expect(matchHttp(rules, "POST", ["x"])).toEqual({ decision: "block", rule: "POST /x", because: "only the owner" });
  });
});

describe("loading", () => {
  test.each([
    ["rules:\n  - allow: get /a\n", /^robot\.rules\.yaml:2:12: rules\.0\.allow: expected METHOD \/path/],
    ["rules:\n  - block: FETCH /a\n", /:2:12: rules\.0\.block: expected a method that can occur/],
    ["rules:\n  - block: CONNECT /a\n", /:2:12: rules\.0\.block: expected a method that can occur/],
    ["rules:\n  - allow: GET /a/*/b\n", /:2:12: rules\.0\.allow: expected \{name\} to be a whole segment/],
    ["rules:\n  - allow: 'GET /a{b}'\n", /:2:12: rules\.0\.allow: expected \{name\} to be a whole segment/],
    ["rules:\n  - allow: 'GET /{b}/{b}'\n", /:2:12: .*used twice/],
    ["rules:\n  - allow: GET /a//b\n", /:2:12: .*empty segment/],
    ["rules:\n  - allow: GET /a/../b\n", /:2:12: .*always refused/],
    ["rules:\n  - allow: GET /%ff\n", /:2:12: .*percent-encoding/],
    ["default: maybe\n", /:1:10: default: expected one of/],
    ["rules:\n  - allow: GET /a\n    speed: 5\n", /:3:5: rules\.0\.speed: there is no field of this name here/],
  ])("a wrong file %j is refused with line, column and field", (text, message) => {
    expect(problemOf(text)).toMatch(message);
  });

  test("a file that is not there is named", async () => {
    await expect(readRules("/nowhere/robot.yaml", (text, name) => parseHttpRules(text, name, makeLimits()))).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining("/nowhere/robot.yaml"),
    });
  });

  test("the demo's rules allow all of the robot's routes but reboot", async () => {
    const file = fileURLToPath(new URL("../../../sim/demo/robot.rules.yaml", import.meta.url));
    const { current: rules } = await readRules(file, (text, name) => parseHttpRules(text, name, makeLimits()));
    const decide = (method: string, path: string) => matchHttp(rules, method, path.slice(1).split("/"));
    for (const path of ["/api/sensors", "/api/battery", "/api/cameras/rgb"]) expect(decide("GET", path).decision).toBe("allow");
    for (const path of ["/api/drive/time", "/api/head"]) expect(decide("POST", path).decision).toBe("allow");
    expect(decide("POST", "/api/reboot")).toEqual({
      decision: "block",
      rule: "POST /api/reboot",
      because: "only the owner reboots this robot",
    });
    expect(decide("GET", "/ledger").decision).toBe("block");
  });
});
