import { expect, test } from "vitest";
import { formatUpFacts, type UpFacts } from "./summary.ts";

const facts: UpFacts = {
  url: "http://127.0.0.1:8484",
  user: "admin",
  token: "x.y.z",
  deployments: [
    { id: "d0000000-0000-4000-8000-000000000001", type: "sim_robot", provider: "podman" },
    { id: "e0000000-0000-4000-8000-000000000002", type: "sim_robot_http", provider: "proxy" },
  ],
  hub: { host: "127.0.0.1", sshPort: 8422, hostKey: "ssh-ed25519 AAAA" },
  robot: { url: "http://127.0.0.1:8000" },
};

const host = { home: "/data/host", state: "/data/host-state" };

test("a person gets addresses, deployments and whole commands to copy, but never the token itself", () => {
  const text = formatUpFacts(facts, { tokenFile: "/data/server/admin.token", missing: undefined, host, commandName: "npx hardshare" });
  expect(text).not.toContain(facts.token);
  expect(text).toMatchInlineSnapshot(`
    "hardshare is up.

      address     http://127.0.0.1:8484
      user        admin
      token file  /data/server/admin.token
      robot       http://127.0.0.1:8000   (itself, with no filter before it; GET /ledger lists what reached it)

      DEPLOYMENT                            TYPE            PROVIDER
      d0000000-0000-4000-8000-000000000001  sim_robot       podman
      e0000000-0000-4000-8000-000000000002  sim_robot_http  proxy

    Sign in, in another terminal, in this folder:

      npx hardshare login --server http://127.0.0.1:8484 --token-file /data/server/admin.token

    A shell in a container beside the robot:

      npx hardshare launch sim_robot --for 30m --wait
      npx hardshare ssh d0000000
      npx hardshare ssh d0000000 -- 'curl -s $ROBOT/api/battery; curl -s -X POST $ROBOT/api/reboot'   # allowed; refused
      npx hardshare terminate d0000000

    The robot's HTTP API through a filter; the contract allows the first request and refuses the second:

      npx hardshare launch sim_robot_http --for 30m --wait
      npx hardshare forward e0000000 --local-port 8090 &
      curl -i --retry 9 --retry-connrefused http://127.0.0.1:8090/api/battery
      curl -i -X POST http://127.0.0.1:8090/api/reboot
      npx hardshare terminate e0000000

    You are their owner too: contracts and filter rules are in /data/host/deployments. Change them, then:

      HARDSHARE_HOME=/data/host HARDSHARE_STATE=/data/host-state npx hardshare reload
      HARDSHARE_HOME=/data/host HARDSHARE_STATE=/data/host-state npx hardshare status

    Ctrl-C ends everything."
  `);
});

test("without containers it says what is missing instead of commands that can't work", () => {
  const text = formatUpFacts(
    { ...facts, deployments: facts.deployments.slice(1) },
    { tokenFile: "/data/server/admin.token", missing: "podman is not installed. Install it", host, commandName: "hardshare" },
  );
  expect(text).not.toContain("hardshare ssh");
  expect(text).toContain("\n  hardshare launch sim_robot_http");
  expect(text).toContain("There is no deployment with containers:\n\n  podman is not installed. Install it");
});
