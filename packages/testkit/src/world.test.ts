import { expect, test } from "vitest";
import { bootWorld } from "./world.ts";

test("a launch goes its whole way: READY, a request through the filter, terminated, free again", async () => {
  await using world = await bootWorld();
  const [deployment = ""] = world.deployments;
  const { id } = await world.admin.launch(deployment, {});
  let state = "";
  for await (const event of world.admin.instanceEvents(id, {})) {
    if (event.kind !== "state") continue;
    state = String(event.data["state"]);
    if (state !== "INIT") break;
  }
  expect(state).toBe("READY");
  const { fwd } = await world.admin.instance(id);
  const answer = await fetch(`http://127.0.0.1:${fwd?.port}/api/battery`);
  expect(answer.status).toBe(200);
  const refused = await fetch(`http://127.0.0.1:${fwd?.port}/api/reboot`, { method: "POST" });
  expect(refused.status).toBe(403);
  await world.admin.terminate(id);
  for await (const event of world.admin.instanceEvents(id, {})) state = event.kind === "state" ? String(event.data["state"]) : state;
  expect(state).toBe("TERMINATED");
  expect((await world.admin.deployment(deployment)).queuelen).toBe(0);
});
