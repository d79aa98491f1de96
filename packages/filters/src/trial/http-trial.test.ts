import { systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { openHttpTrial } from "./http-trial.ts";

const RULES = `default: block
rules:
  - allow: GET /pose
  - allow: POST /move
    rate: 1/d
  - block: POST /reboot
    because: only the owner reboots
`;
const openTrial = (text = RULES) => openHttpTrial(text, { file: "robot.rules.yaml", clock: systemClock });

test("a message is told with its decision, rule and reason, and with what reached the device", async () => {
  await using trial = await openTrial();
  expect(await trial.try("GET /pose")).toEqual({
    message: "GET /pose",
    decisions: [{ direction: "in", decision: "allow", mode: "enforce", rule: "GET /pose", summary: "GET /pose" }],
    reached: ["GET /pose"],
  });
  expect(await trial.try("POST /reboot {}")).toMatchObject({
    decisions: [{ decision: "block", rule: "POST /reboot", because: "only the owner reboots" }],
    reached: [],
  });
  expect(await trial.try('POST /move {"speed": 1}')).toMatchObject({
    decisions: [{ decision: "allow" }],
    reached: ['POST /move {"speed": 1}'],
  });
});

test("a raw request is tried byte by byte", async () => {
  await using trial = await openTrial();
  const both = "POST /move HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  expect(await trial.try(both)).toMatchObject({ decisions: [{ decision: "block", rule: "strict" }], reached: [] });
  expect(await trial.try("GET /pose HTTP/1.1\r\nHost: a\r\n\r\n")).toMatchObject({ reached: ["GET /pose"] });
});

test("what is no message is refused, and a file that is wrong is named with its place", async () => {
  await using trial = await openTrial();
  await expect(trial.try("move")).rejects.toMatchObject({ code: "bad_input" });
  await expect(trial.try("FLY /a")).rejects.toMatchObject({ code: "bad_input" });
  await expect(openTrial("rules: [{ allow: GET }]")).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining("robot.rules.yaml:1:"),
  });
});
