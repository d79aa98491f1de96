import { once } from "node:events";
import { Socket } from "node:net";
import { expect, test } from "vitest";
import { disposeOnClose } from "./dispose-on-close.ts";
import { OpenLimit } from "./open-limit.ts";

test("a connection gives its place back when it closes, also one that closed before it got the place", async () => {
  const limit = new OpenLimit({ what: "places", perKey: 1, total: 1 });
  const gone = new Socket().destroy();
  await once(gone, "close");
  disposeOnClose(gone, limit.enter("a"));
  const open = new Socket();
  disposeOnClose(open, limit.enter("a"));
  expect(() => limit.enter("a")).toThrow("1 places of yours");
  open.destroy();
  await once(open, "close");
  limit.enter("a");
});
