import { runProgram } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { insideRules, MAX_CONNECTIONS } from "./render-packet-rules.ts";

/** A network device to nowhere, behind the rules from standard input; then datagrams to so many ports, and how many left. */
const SETUP = `set -e
mount -t sysfs none /sys
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link add out type veth peer name other
ip link set lo up && ip link set other up && ip link set out arp off up
ip address add 192.0.2.1/24 dev out
ip route add default via 192.0.2.2
nft -f -
"$@"
cat /sys/class/net/out/statistics/tx_packets`;
const SEND = `const socket = require("node:dgram").createSocket("udp4");
socket.on("error", () => {});
let left = Number(process.argv[2]);
for (let port = 1; port <= process.argv[2]; port += 1) {
  socket.send("x", port, process.argv[1], () => (left -= 1) === 0 && socket.close());
}`;

async function sendTo(address: string, ports: number): Promise<number> {
  // /sys shows the network in which it was mounted.
  const args = ["--net", "--mount", "sh", "-c", SETUP, "sh", process.execPath, "-e", SEND, address, String(ports)];
  const { exitCode, stdout, stderr } = await runProgram("unshare", args, { input: insideRules(["45.33.7.0/24"]) });
  expect([exitCode, stderr]).toEqual([0, ""]);
  return Number(stdout);
}

// Rules can be loaded by root alone.
test.skipIf(process.geteuid?.() !== 0)("an instance has so many connections at the same time, and fills no table of its host", async () => {
  expect(await sendTo("8.8.8.8", 100)).toBe(100);
  expect(await sendTo("8.8.8.8", MAX_CONNECTIONS + 200)).toBe(MAX_CONNECTIONS);
  expect(await sendTo("45.33.7.9", 10)).toBe(0);
});
