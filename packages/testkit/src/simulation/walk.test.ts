/** Every program is killed at every step that others can see, in each way in which an instance ends. */
import { describe, expect, test } from "vitest";
import { walk, WALK_KINDS, type VictimRole } from "./walk.ts";
import { adoptionPlan, endPlan, failpointsOf, launchPlan } from "@hardshare/host/wiring";
import { Contract } from "@hardshare/protocol";

/** The server makes several hundred steps; in CI one of so many is walked, `npm run test:long` walks all. */
const SERVER_SHARE = process.env["HARDSHARE_LONG"] === undefined ? 17 : 1;

const ways = (["proxy", "podman"] as const).flatMap((provider) => WALK_KINDS.map((kind) => ({ provider, kind })));

describe.each(ways)("a $provider instance, $kind", ({ provider, kind }) => {
  test.each<VictimRole>(["host", "hub", "server"])("comes to its end, whenever the %s is killed", { timeout: 600_000 }, async (role) => {
    const whole = await walk(kind, provider, role);
    expect(whole.problems).toEqual([]);
    const share = role === "server" ? SERVER_SHARE : 1;
    let walks = 0;
    for (let dieAt = 0; dieAt < whole.steps.length; dieAt += share) {
      const { problems, trace } = await walk(kind, provider, role, dieAt);
      expect(problems, `killed at step ${dieAt}, ${whole.steps[dieAt]}\n${trace.lines.slice(-60).join("\n")}`).toEqual([]);
      walks += 1;
    }
    process.stdout.write(`${provider}, ${kind}: ${role} killed at ${walks} of ${whole.steps.length} steps, all came to rest\n`);
  });

  test("the host passes every failpoint of its plans", async () => {
    const contract = Contract.parse({
      provider,
      services: [{ name: "ROBOT", command: "x" }],
      init: ["x"],
      terminate: ["x"],
      baseline: ["x"],
      safe_state: ["x"],
    });
    const { steps } = await walk(kind, provider, "host");
    const isWhole = kind !== "cancel"; // a launch that is cancelled does not come to its last steps
    const expected = [
      ...(isWhole ? failpointsOf("launch", launchPlan(contract)) : []),
      ...(kind === "adopt" && provider === "podman" ? failpointsOf("launch", adoptionPlan(contract)) : []),
      ...failpointsOf("end", endPlan(contract, kind === "adopt" && provider === "proxy")),
    ];
    expect(expected.filter((name) => !steps.includes(name))).toEqual([]);
  });
});
