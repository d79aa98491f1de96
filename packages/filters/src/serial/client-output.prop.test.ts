import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "@hardshare/runtime";
import { ClientOutput } from "./client-output.ts";
import type { SerialFraming } from "./framer.ts";

const REFUSAL = /no \d+;\r\n/g;
const LINES: SerialFraming = { limit: 256, realtime: [] };

function openOutput(framing = LINES) {
  const sent: string[] = [];
  const write = (bytes: Buffer | string) => sent.push(typeof bytes === "string" ? bytes : bytes.toString("latin1")) > 0;
  const clock = new ManualClock();
  return { clock, text: () => sent.join(""), output: new ClientOutput({ write, writable: true }, clock, () => framing) };
}

describe("what a client is sent", () => {
  test("is all that the device said, with refusals as whole lines between its lines, however the bytes come", () => {
    const said = fc.array(fc.oneof(fc.constantFrom("ok", "X:10 Y:-5", "\n", "\r\n", "\r\n", "\n\n"), fc.constant("refuse")));
    fc.assert(
      fc.property(said, (parts) => {
        const { output, text, clock } = openOutput();
        let device = "";
        let refusals = 0;
        for (const part of parts) {
          if (part === "refuse") output.tell(`no ${++refusals};`);
          else for (const byte of part) output.send(Buffer.from(byte));
          if (part !== "refuse") device += part;
        }
        for (const before of text().split(REFUSAL).slice(0, -1)) expect(before).toMatch(/^$|\n$/);
        clock.advance(100); // it stayed in the middle of a line, if it did
        expect(text().match(REFUSAL)?.length ?? 0).toBe(refusals);
        expect(text().replaceAll(REFUSAL, "")).toBe(device);
      }),
    );
  });

  test("tells of a refusal after a while when the device stays in the middle of a line, as with a prompt", () => {
    const { output, text, clock } = openOutput();
    output.send(Buffer.from("> "));
    output.tell("refused");
    expect(text()).toBe("> ");
    clock.advance(100);
    expect(text()).toBe("> refused\r\n");
  });

  test("goes by the end of messages of the rules file, and by CR alone too", () => {
    const framed = openOutput({ ...LINES, end: [0x3b] });
    framed.output.send(Buffer.from("a;b"));
    framed.output.tell("no");
    framed.output.send(Buffer.from("c;d"));
    expect(framed.text()).toBe("a;bc;no;d");
    const lines = openOutput();
    lines.output.send(Buffer.from("a\r"));
    lines.output.tell("no");
    lines.output.send(Buffer.from("b"));
    expect(lines.text()).toBe("a\rno\r\nb");
  });
});
