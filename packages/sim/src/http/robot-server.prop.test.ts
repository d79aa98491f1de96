import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ManualClock, silentLogger } from "@hardshare/runtime";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RobotBody } from "../body/robot-body.ts";
import { Ledger } from "../ledger.ts";
import { listActions } from "./robot-api.ts";
import { type RobotServer, startRobotServer } from "./robot-server.ts";

let robot: RobotServer;
beforeAll(async () => {
  const clock = new ManualClock();
  robot = await startRobotServer({
    host: "127.0.0.1",
    port: 0,
    actions: listActions(new RobotBody(clock)),
    ledger: new Ledger(clock, 100),
    logger: silentLogger,
  });
});
afterAll(() => robot?.[Symbol.asyncDispose]());

/** Says all of it and leaves. @returns what was answered */
async function say(pieces: readonly string[]): Promise<string> {
  const socket = connect({ port: robot.port, host: "127.0.0.1", noDelay: true });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  let heard = "";
  socket.on("error", () => {}).on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
  await once(socket, "connect");
  for (const piece of pieces) {
    socket.write(Buffer.from(piece, "latin1"));
    await nextTurn();
  }
  socket.end();
  await closed;
  return heard;
}

test("whatever comes, the robot answers or closes, and never fails", async () => {
  const json = fc
    .dictionary(fc.constantFrom("LinearVelocity", "AngularVelocity", "TimeMS", "Pitch", "__proto__"), fc.jsonValue({ maxDepth: 1 }))
    .map((body) => JSON.stringify(body));
  const request = fc
    .tuple(
      fc.constantFrom("GET", "POST", "HEAD"),
      fc.constantFrom("/api/drive/time", "/api/head", "/api/cameras/rgb?Width=1e3", "/ledger?after=x", "/%", "//"),
      fc.oneof(json, fc.string()),
    )
    .map(
      ([method, path, body]) =>
        `${method} ${path} HTTP/1.1\r\nHost: robot\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${Buffer.from(body).toString("latin1")}`,
    );
  const piece = fc.oneof(
    request,
    fc.constantFrom("\r\n", "GET /", "Expect: 100-continue\r\n", "\0"),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 5 }), async (pieces) => {
      expect(await say(pieces)).not.toMatch(/^HTTP\/1\.1 5/m);
    }),
  );
  expect(await say(["GET /api/battery HTTP/1.1\r\nHost: robot\r\nConnection: close\r\n\r\n"])).toMatch(/^HTTP\/1\.1 200 /);
});
