import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RawClient } from "../testing/raw-client.ts";
import { RpcWorld } from "../testing/rpc-world.ts";

const MOVE = `
rules:
  - allow: POST /joints/{joint}
    run: [./record, move, "{joint}", "--speed={speed}", --, "{angle}"]
    path: { joint: { type: integer, minimum: 1, maximum: 6 } }
    body:
      type: object
      additionalProperties: false
      required: [angle]
      properties: { angle: { type: number, minimum: -90, maximum: 90 }, speed: { type: number } }
    clamp: { speed: [0, 10] }
  - allow: GET /say
    run: [./record, "{words}"]
    query: { words: { type: string } }
    query_required: [words]
  - allow: POST /text
    run: [./record]
    stdin: "{text}|{list}|{body}"
    body: { type: object, properties: { text: { type: string }, list: { type: array } } }
  - block: POST /reset
    because: only the owner resets
`;

/** Settles when a program has made this file in the folder. */
async function untilThere(folder: string, name: string): Promise<void> {
  const watcher = watch(folder);
  try {
    while (
      !(await access(join(folder, name)).then(
        () => true,
        () => false,
      ))
    )
      await once(watcher, "change");
  } finally {
    watcher.close();
  }
}

test("values that fit become arguments, each one of its own; those that are left out take theirs along", async () => {
  await using world = await RpcWorld.start(MOVE);
  expect(await world.call("POST", "/joints/3", { angle: -45.5 })).toEqual({
    status: 200,
    type: "text/plain; charset=utf-8",
    length: "4",
    text: "done",
  });
  await world.call("POST", "/joints/6", { angle: 1, speed: 99 });
  await world.call("GET", "/say?words=a%20b%3B%20%24(reboot)%20%22%27%60");
  expect(await world.ledger()).toEqual([
    { args: ["move", "3", "--", "-45.5"], stdin: "" },
    { args: ["move", "6", "--speed=10", "--", "1"], stdin: "" },
    { args: ["a b; $(reboot) \"'`"], stdin: "" },
  ]);
  expect(world.decisions.map(({ decision, rule }) => `${decision} ${rule}`)).toEqual([
    "allow POST /joints/{joint}",
    "allow POST /joints/{joint}",
    "allow GET /say",
  ]);
});

test("standard input takes any text, lists, and the whole body", async () => {
  await using world = await RpcWorld.start(MOVE);
  await world.call("POST", "/text", { text: "-rf\n", list: [1] });
  expect(await world.ledger()).toEqual([{ args: [], stdin: '-rf\n|[1]|{"text":"-rf\\n","list":[1]}' }]);
});

test.each([
  ["POST", "/joints/7", { angle: 1 }, 403, "must be <= 6"],
  ["POST", "/joints/3", { angle: 91 }, 403, "must be <= 90"],
  ["POST", "/joints/3", { angle: 1, other: 1 }, 403, "additional properties"],
  ["POST", "/joints/3", { angle: 1e-9 }, 400, "angle is missing"],
  ["POST", "/joints/3?angle=1", { angle: 1 }, 403, "no query field"],
  ["POST", "/joints/3", undefined, 403, "a JSON body is missing"],
  ["GET", "/say?words=-rf", undefined, 400, "could take for an option"],
  ["GET", "/say?words=--help", undefined, 400, "could take for an option"],
  ["GET", "/say?words=%00", undefined, 403, "control character"],
  ["GET", `/say?words=${"a".repeat(8000)}&words=b`, undefined, 403, "given twice"],
  ["GET", "/say", undefined, 403, "words is missing"],
  ["POST", "/reset", undefined, 403, "only the owner resets"],
  ["GET", "/joints/3", undefined, 403, "no filter rule of the owner allows"],
] as const)("%s %s %j is answered %s: %s", async (method, path, body, status, because) => {
  await using world = await RpcWorld.start(MOVE);
  const answer = await world.call(method, path, body);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text)).toMatchObject({ because: expect.stringContaining(because) });
  expect(await world.ledger()).toEqual([]);
  expect(world.decisions).toMatchObject([{ decision: "block" }]);
});

test("a value comes from the place that was judged: a field of the body that the schema does not name replaces none", async () => {
  await using world = await RpcWorld.start(`
rules:
  - allow: POST /joints/{joint}
    run: [./record, "{joint}", "--speed={speed}", "{angle}"]
    path: { joint: { type: integer, maximum: 6 } }
    query: { speed: { type: integer, maximum: 9 } }
    body: { type: object, required: [angle], properties: { angle: { type: number } } }
`);
  const { status } = await world.call("POST", "/joints/3?speed=5", { angle: 1, joint: "; reboot", speed: 999 });
  expect(status).toBe(200);
  expect(await world.ledger()).toEqual([{ args: ["3", "--speed=5", "1"], stdin: "" }]);
  await world.call("POST", "/joints/3", { angle: 1, speed: 999 });
  expect((await world.ledger()).at(-1)).toEqual({ args: ["3", "1"], stdin: "" });
});

describe("what becomes of a program", () => {
  const rule = (name: string, more = "") => `rules:\n  - allow: POST /${name}\n    run: [./${name}]\n${more}`;

  test("an exit status other than 0 is told with the end of standard error", async () => {
    await using world = await RpcWorld.start(rule("fail"), { programs: { fail: "echo moved; echo joint 3 is stuck >&2; exit 3" } });
    const { status, text } = await world.call("POST", "/fail");
    expect(status).toBe(500);
    expect(JSON.parse(text)).toEqual({
      error: "procedure failed",
      because: "fail ended with exit status 3",
      exit_status: 3,
      stderr: "joint 3 is stuck\n",
    });
  });

  test("nothing written is an answer of no bytes", async () => {
    await using world = await RpcWorld.start(rule("quiet"), { programs: { quiet: "exit 0" } });
    expect(await world.call("POST", "/quiet")).toMatchObject({ status: 200, length: "0", text: "" });
  });

  test("output passes byte by byte, as what the rule says it is", async () => {
    await using world = await RpcWorld.start(rule("bytes", "    content_type: image/png\n"), {
      programs: { bytes: "printf '\\377\\000\\200'" },
    });
    const response = await fetch(`http://${world.address}/bytes`, { method: "POST" });
    expect(response.headers.get("content-type")).toBe("image/png");
    expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.from([0xff, 0, 0x80]));
  });

  test("one that takes too long is killed with what it started", async () => {
    await using world = await RpcWorld.start(rule("slow", "    timeout: 0.5s\n"), { programs: { slow: "sleep 987654 & sleep 987654" } });
    const { status, text } = await world.call("POST", "/slow");
    expect(status).toBe(504);
    expect(JSON.parse(text)).toMatchObject({ because: "slow took longer than 0.5 s, and was killed" });
    expect(running(world.folder)).toBe("");
  });

  test("one that writes too much is killed", async () => {
    await using world = await RpcWorld.start(rule("flood", "    output_limit: 1000\n"), { programs: { flood: "yes" } });
    const { status, text } = await world.call("POST", "/flood");
    expect(status).toBe(500);
    expect(JSON.parse(text)).toMatchObject({ because: "flood wrote more than 1000 bytes, and was killed" });
    expect(running(world.folder)).toBe("");
  });

  test("one that is not there any more is told", async () => {
    await using world = await RpcWorld.start("rules: [{ allow: GET /a, run: [no-such-program-anywhere] }]");
    const { status, text } = await world.call("GET", "/a");
    expect(status).toBe(500);
    expect(JSON.parse(text)).toMatchObject({ error: "procedure failed" });
  });

  const WAITS = { wait: "echo $$ > began; exec sleep 987654" };

  test("it ends when its caller leaves, and may then be called again", async () => {
    await using world = await RpcWorld.start(rule("wait"), { programs: WAITS });
    const leave = new AbortController();
    const call = world.call("POST", "/wait", undefined, leave.signal).catch(() => "left");
    await untilThere(world.folder, "began");
    const busy = await world.call("POST", "/wait");
    expect(busy).toMatchObject({ status: 503, text: expect.stringContaining("the procedure runs already") });
    leave.abort();
    expect(await call).toBe("left");
    expect(world.decisions.map(({ decision }) => decision)).toEqual(["allow", "block"]);
  });

  test("it ends with the filter", async () => {
    const world = await RpcWorld.start(rule("wait"), { programs: WAITS });
    const call = world.call("POST", "/wait").catch(() => "cut");
    await untilThere(world.folder, "began");
    await world[Symbol.asyncDispose]();
    expect(await call).toBe("cut");
  });

  test("another procedure runs meanwhile: a stop does not wait for a move", async () => {
    await using world = await RpcWorld.start(`${rule("wait")}  - { allow: POST /stop, run: [./record, stop] }\n`, { programs: WAITS });
    const leave = new AbortController();
    const call = world.call("POST", "/wait", undefined, leave.signal).catch(() => "left");
    await untilThere(world.folder, "began");
    expect(await world.call("POST", "/stop")).toMatchObject({ status: 200 });
    leave.abort();
    await call;
  });

  /** Processes of programs in the folder. */
  function running(folder: string): string {
    try {
      return execFileSync("pgrep", ["-f", folder], { encoding: "utf8" });
    } catch {
      return "";
    }
  }
});

test("a call that is limited is refused when that is used up, but none that its procedure refuses uses anything", async () => {
  await using world = await RpcWorld.start(
    "rules: [{ allow: GET /say, run: [./record, '{w}'], query: { w: {} }, query_required: [w], rate: 1/d }]",
  );
  expect((await world.call("GET", "/say?w=-a")).status).toBe(400);
  expect((await world.call("GET", "/say?w=a")).status).toBe(200);
  expect((await world.call("GET", "/say?w=b")).status).toBe(403);
  expect(await world.ledger()).toHaveLength(1);
});

test("with `mode: shadow` what schemas refuse is told and run, but never with an option that nobody wrote", async () => {
  await using world = await RpcWorld.start(`mode: shadow${MOVE}`);
  expect((await world.call("POST", "/joints/7", { angle: 91 })).status).toBe(200);
  expect((await world.call("GET", "/say?words=-rf")).status).toBe(400);
  expect((await world.call("GET", "/nothing")).status).toBe(404);
  expect((await world.ledger()).map(({ args }) => args)).toEqual([["move", "7", "--", "91"]]);
  expect(world.decisions).toMatchObject([{ decision: "block", mode: "shadow", because: expect.stringContaining("must be <= 6") }, {}, {}]);
});

test("rules that are read again hold for the next call", async () => {
  await using world = await RpcWorld.start("rules: [{ allow: GET /a, run: [./record, a] }]");
  await world.call("GET", "/a");
  world.reload("rules: [{ allow: GET /a, run: [./record, b] }]");
  await world.call("GET", "/a");
  expect((await world.ledger()).map(({ args }) => args)).toEqual([["a"], ["b"]]);
});

describe("files of rrpc", () => {
  const FILE = `
rules:
  - { verb: GET, uri: /date, command: [FOLDER/record, now] }
  - { verb: POST, uri: /move, command: [FOLDER/record, move], unknown: 1 }
  - { verb: Post, uri: /any, command: [FOLDER/record, --] }
`;
  const start = () => RpcWorld.start(FILE, { isRrpc: true });

  test("run unchanged: the query is dropped, and the body of a POST is the last argument", async () => {
    await using world = await start();
    expect(await world.call("GET", "/date?x=1")).toMatchObject({ status: 200, type: "text/plain", text: "done" });
    await world.call("POST", "/move", "joint 3; reboot\n");
    await world.call("POST", "/move");
    await world.call("POST", "/any", "--help");
    expect((await world.ledger()).map(({ args }) => args)).toEqual([["now"], ["move", "joint 3; reboot\n"], ["move"], ["--", "--help"]]);
  });

  test("a path with signs of a template stands for itself alone", async () => {
    await using world = await RpcWorld.start(
      "rules:\n  - { verb: POST, uri: /arm/*, command: [FOLDER/record, arm] }\n  - { verb: POST, uri: '/{a}', command: [FOLDER/record, a] }\n",
      { isRrpc: true },
    );
    for (const path of ["/arm/reset", "/x"]) expect((await world.call("POST", path)).status, path).toBe(403);
    for (const path of ["/arm/*", "/%7Ba%7D"]) expect((await world.call("POST", path)).status, path).toBe(200);
  });

  test.each([
    ["/move", "--help", 400, "could take for an option"],
    ["/move", "a\0b", 400, "no NUL"],
    ["/move", `a${"b".repeat(200_000)}`, 400, "at most 100000 bytes"],
    ["/moves", "a", 403, "no filter rule"],
  ])("POST %s with a body that could be something else is refused", async (path, body, status, because) => {
    await using world = await start();
    expect(await world.call("POST", path, body)).toMatchObject({ status, text: expect.stringContaining(because) });
    expect(await world.ledger()).toEqual([]);
  });

  test("bytes that are no text are refused, not changed", async () => {
    await using world = await start();
    using client = new RawClient(world.address);
    await client.send("POST /move HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\xff\xfe");
    expect(await client.ended).toMatch(/^HTTP\/1\.1 403 [^]*UTF-8/);
    expect(await world.ledger()).toEqual([]);
  });

  test("one call waits for the other, as there", async () => {
    await using world = await start();
    const answers = await Promise.all(Array.from({ length: 4 }, (_, index) => world.call("POST", "/move", String(index))));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(await world.ledger()).toHaveLength(4);
  });
});
