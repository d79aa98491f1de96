import { crc32, inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { START_POSE } from "../body/motion.ts";
import { DIGIT_HEIGHT, DIGIT_WIDTH, DIGITS } from "./digits.ts";
import { clockScale, drawPicture } from "./picture.ts";
import { encodePng } from "./png.ts";

/** Decodes what a PNG reader would: checks signature, order and checksums, and gives each pixel's colour. */
function decode(png: Buffer) {
  expect(png.subarray(0, 8).toString("latin1")).toBe("\u0089PNG\r\n\u001a\n");
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    expect(png.readUInt32BE(at + 8 + length)).toBe(crc32(png.subarray(at + 4, at + 8 + length)));
    chunks.set(type, png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  expect([...chunks.keys()]).toEqual(["IHDR", "PLTE", "IDAT", "IEND"]);
  const header = chunks.get("IHDR") ?? Buffer.alloc(0);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  expect([...header.subarray(8)]).toEqual([8, 3, 0, 0, 0]);
  const rows = inflateSync(chunks.get("IDAT") ?? Buffer.alloc(0));
  expect(rows).toHaveLength((width + 1) * height);
  const palette = chunks.get("PLTE") ?? Buffer.alloc(0);
  const colourAt = (x: number, y: number) => {
    const index = rows[y * (width + 1) + 1 + x] ?? 0;
    return palette.subarray(3 * index, 3 * index + 3).toString("hex");
  };
  return { width, height, colourAt };
}

function readClock({ width, colourAt }: ReturnType<typeof decode>): string {
  const scale = clockScale(width);
  let text = "";
  for (let place = 0; place < 12; place += 1) {
    const dots = Array.from({ length: DIGIT_HEIGHT }, (_row, row) =>
      Array.from({ length: DIGIT_WIDTH }, (_column, column) => {
        const dot = (1 + place * (DIGIT_WIDTH + 1) + column) * scale;
        return colourAt(dot, (1 + row) * scale) === "ffffff" ? "#" : ".";
      }).join(""),
    );
    text += Object.entries(DIGITS).find(([, glyph]) => glyph.join() === dots.join())?.[0] ?? "?";
  }
  return text;
}

test.each([
  [80, 60],
  [320, 240],
  [1280, 960],
  [641, 123],
])("at %i × %i the picture is a PNG of that size whose clock can be read", async (width, height) => {
  const picture = decode(await encodePng(drawPicture(width, height, START_POSE, new Date("2026-01-02T13:54:06.789Z"))));
  expect([picture.width, picture.height]).toEqual([width, height]);
  expect(readClock(picture)).toBe("13:54:06.789");
});

test("the robot is a dot where it stands, its nose ahead", async () => {
  const picture = decode(await encodePng(drawPicture(400, 300, { x: 1, y: 1, heading: 0 }, new Date(0))));
  expect(picture.colourAt(92, 200)).toBe("1565c0");
  expect(picture.colourAt(110, 200)).toBe("ffc107");
  expect(picture.colourAt(320, 110)).toBe("eceff1");
});
