import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { runProgram } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { COMMAND } from "./testing.ts";

test("a result that is longer than a pipe holds reaches its reader whole", async () => {
  const users = Array.from({ length: 60_000 }, (_, index) => ({ name: `user-${index}`, created: "2026-01-01 00:00:00" }));
  const server = createServer((_request, response) => response.end(JSON.stringify({ users }))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = [process.execPath, ...COMMAND, "admin", "user", "list", "--server", url, "--format", "json"];
  // A pipe of the shell's: what Node gives its children are sockets, which hold more.
  const { exitCode, stdout } = await runProgram("bash", ["-o", "pipefail", "-c", '"$@" | cat', "bash", ...args], {
    env: { PATH: process.env["PATH"], HOME: tmpdir(), HARDSHARE_HOME: tmpdir(), HARDSHARE_TOKEN: "a.b.c" },
    maxOutputBytes: 16 * 1024 * 1024,
  });
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toHaveLength(users.length);
  server.closeAllConnections();
  server.close();
});
