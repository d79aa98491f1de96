/** The contracts of «Is the robot well?» are such, and the words of its table those of the schema. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { OnMonitorFail } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { parseContract } from "../contract/load-contract.ts";

const GUIDE = fileURLToPath(new URL("../../../../docs/guides/health.md", import.meta.url));

test("every contract of the guide can be read, and all that a monitor can mean is explained", async () => {
  const guide = await readFile(GUIDE, "utf8");
  const contracts = [...guide.matchAll(/^```yaml\n([^]*?)^```$/gm)]
    .map((match) => match[1] ?? "")
    .filter((text) => !text.startsWith("url:"));
  const read = contracts.map((text) => parseContract(text, "the guide", "/").contract);
  expect(read[0]?.monitors).toMatchObject([
    { run: "./is-the-arm-there.sh", every: 60, timeout: 30, on_fail: "lock" },
    { every: 30, timeout: 10, on_fail: "terminate" },
  ]);
  expect(read.slice(1)).toMatchObject([{ cooldown: 300, hours: { time_zone: "Europe/Berlin" } }, { cooldown: { every: 30 } }]);
  for (const word of OnMonitorFail.options) expect(guide).toMatch(new RegExp(`^\\| \`${word}\``, "m"));
});
